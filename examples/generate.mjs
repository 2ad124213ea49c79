// Writes a text without end in constant memory: node examples/generate.mjs MODEL
import { load } from "sluice";

const [path] = process.argv.slice(2);
if (!path) {
  console.error("usage: node examples/generate.mjs MODEL");
  process.exit(2);
}
process.on("uncaughtException", (error) => {
  console.error(error.code ? `error: ${error.message}` : error); // errors with a code say what to do
  process.exit(1);
});

const model = await load(path);
console.error(`${model.info.parameters} parameters, ${model.info.weightBytes} bytes, ${model.info.threads} threads`);
const session = model.session({ context: "sinks:4,recent:508", kv: "q8" });
const signal = AbortSignal.timeout(20_000);
const options = { maxTokens: 2000, temperature: 0.8, seed: 1, ignoreEnd: true, signal };
for await (const part of session.generate("Once upon a time", options)) process.stdout.write(part.text);
const { seen, kept, evicted, horizon, decodeTokensPerSecond } = session.usage;
console.log(`\n\nseen ${seen}, kept ${kept}, evicted ${evicted}, recalls the newest ${horizon}`);
console.log(`${decodeTokensPerSecond?.toFixed(0)} tokens per second`);
await model.dispose();

// A conversation without end: node examples/chat.mjs MODEL [MESSAGE ...]
// Messages come from the arguments, or line by line from standard input. Ctrl-C stops an answer, a second one ends it all.
import { createInterface } from "node:readline";
import { load } from "sluice";

const [path, ...messages] = process.argv.slice(2);
if (!path) {
  console.error("usage: node examples/chat.mjs MODEL [MESSAGE ...]");
  process.exit(2);
}
process.on("uncaughtException", (error) => {
  console.error(error.code ? `error: ${error.message}` : error); // errors with a code say what to do
  process.exit(1);
});

const model = await load(path);
// The first 4 and the newest 1,020 tokens stay; an answer may go on for as long as you like.
const session = model.session({ context: "sinks:4,recent:1020" });

for await (const message of messages.length > 0 ? messages : createInterface({ input: process.stdin })) {
  const stop = new AbortController();
  const onInterrupt = () => stop.abort();
  process.once("SIGINT", onInterrupt);
  for await (const part of session.chat(message, { maxTokens: 500, signal: stop.signal })) {
    process.stdout.write(part.text);
  }
  process.off("SIGINT", onInterrupt);
  process.stdout.write("\n");
}

const { seen, evicted, horizon } = session.usage;
console.error(`read and wrote ${seen} tokens; ${evicted} can't be recalled any more; recalls ${horizon ?? "all"}`);
await model.dispose();

// Reads a long text once, saves what was read, and goes on from there: node examples/book.mjs MODEL BOOK.txt [SESSION]
import { readFile, rename, writeFile } from "node:fs/promises";
import { load } from "sluice";

const [path, book, saved = "book.session"] = process.argv.slice(2);
if (!path || !book) {
  console.error("usage: node examples/book.mjs MODEL BOOK.txt [SESSION]");
  process.exit(2);
}
process.on("uncaughtException", (error) => {
  console.error(error.code ? `error: ${error.message}` : error); // errors with a code say what to do
  process.exit(1);
});

const model = await load(path);
const session = model.session({ context: "sinks:4,recent:1020", kv: "q8" });

// maxTokens: 0 reads and writes nothing; the prompt may be far longer than what is kept.
const onPrefill = (done, total) => console.error(`read ${done} of ${total} tokens`);
for await (const _ of session.generate(await readFile(book, "utf8"), { maxTokens: 0, onPrefill }));
await writeFile(`${saved}.new`, await session.save(), { mode: 0o600 });
await rename(`${saved}.new`, saved); // a crash leaves the old file or the new one

// Later, perhaps in another process: the book is not read again.
const again = await model.restore(await readFile(saved));
for await (const part of again.generate("\n\nIn short: ", { maxTokens: 60, temperature: 0 })) {
  process.stdout.write(part.text);
}
console.error(`\n${JSON.stringify(again.usage)}`);
await model.dispose();

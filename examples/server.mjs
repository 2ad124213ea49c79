// Streams text over HTTP; a client that goes away stops its generation: node examples/server.mjs MODEL [PORT]
// curl -N -d "Once upon a time" http://localhost:8080
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { load, SluiceError } from "sluice";

const [path, port = "8080"] = process.argv.slice(2);
if (!path) {
  console.error("usage: node examples/server.mjs MODEL [PORT]");
  process.exit(2);
}
process.on("uncaughtException", (error) => {
  console.error(error.code ? `error: ${error.message}` : error); // errors with a code say what to do
  process.exit(1);
});

const model = await load(path); // once; sessions share its weights and take turns

const server = createServer(async (request, response) => {
  const session = model.session();
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  try {
    const prompt = await text(request);
    for await (const part of session.generate(prompt, { maxTokens: 200, signal: gone.signal })) {
      response.write(part.text);
    }
  } catch (error) {
    // Errors are typed: `code` is for programs, the message says what to do.
    if (!(error instanceof SluiceError)) throw error;
    if (!response.headersSent) response.writeHead(error.code === "context_full" ? 413 : 500);
    response.write(`${error.code}: ${error.message}\n`);
  } finally {
    response.end();
    await session.dispose(); // gives its memory back
  }
});
server.listen(Number(port), "127.0.0.1", () => console.error(`listening on port ${server.address().port}`));

process.once("SIGINT", async () => {
  server.close();
  server.closeAllConnections();
  await model.dispose();
});

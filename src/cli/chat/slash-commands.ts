/** What can be said to `sluice chat` itself: a table of /commands. `//` at the start of a message writes a plain slash. */
import { parsePolicy } from "../../context/policy-text.js";
import { ArgumentError } from "../../util/errors.js";
import { counted } from "../figures.js";
import { keepRead } from "../given-paths.js";
import type { Io } from "../io.js";
import { writeNotes } from "../notes.js";
import { pairLines } from "../table.js";
import { readTextFile } from "../text-input.js";
import { describeContext, describeSpeed } from "../usage-line.js";
import type { Conversation } from "./conversation.js";
import { readTranscript, writeTranscript } from "./transcript.js";

export interface SlashContext {
  readonly conversation: Conversation;
  readonly io: Io;
  /** Tells the user something (not a part of the conversation). */
  tell(text: string): Promise<void>;
  /** Ends the chat after this command. */
  quit(): void;
}

interface SlashCommand {
  readonly name: string;
  readonly parameters: string;
  readonly help: string;
  /** @throws SluiceError, which is shown, and the chat goes on */
  run(parameter: string, context: SlashContext): Promise<void>;
}

const COMMANDS: readonly SlashCommand[] = [
  { name: "help", parameters: "", help: "this list", run: (_, { tell }) => tell(helpText()) },
  {
    name: "context",
    parameters: "[POLICY]",
    help: "what is seen, kept, evicted and recalled; with a policy: start over under it",
    run: context,
  },
  { name: "stats", parameters: "", help: "speed and memory", run: stats },
  {
    name: "system",
    parameters: "[TEXT]",
    help: "show the system prompt; with a text: start over with it",
    run: system,
  },
  { name: "reset", parameters: "", help: "start over", run: reset },
  { name: "save", parameters: "FILE", help: "write the conversation to a JSON file", run: save },
  { name: "load", parameters: "FILE", help: "go on with a saved conversation", run: load },
  { name: "quit", parameters: "", help: "leave (also Ctrl-D)", run: async (_, { quit }) => quit() },
];

/** Whether a message is a command, not something for the model. */
export function isSlashCommand(message: string): boolean {
  return message.startsWith("/") && !message.startsWith("//");
}

/** Runs a command. @throws ArgumentError for an unknown one, and what the command throws */
export async function runSlashCommand(message: string, context: SlashContext): Promise<void> {
  const [, name = "", parameter = ""] = /^\/(\S*)\s*(.*)$/s.exec(message) ?? [];
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (!command) throw new ArgumentError(`There is no command /${name}; /help lists the commands.`);
  return command.run(parameter.trim(), context);
}

export function helpText(): string {
  const rows = COMMANDS.map(({ name, parameters, help }) => [`/${name} ${parameters}`.trimEnd(), help]);
  return [
    ...pairLines(rows),
    'A backslash at the end of a line goes on with the next; """ opens and closes a message of several lines.',
    "Ctrl-C stops an answer. // at the start writes a plain slash.",
  ].join("\n");
}

async function context(parameter: string, { conversation, io, tell }: SlashContext): Promise<void> {
  if (parameter !== "") {
    await conversation.changeContext(parameter);
    await tell(`Started over under ${conversation.session.context}: what was said before is forgotten.`);
    await writeNotes(io, conversation.session, false);
    return;
  }
  const { context: policy, usage } = conversation.session;
  await tell(`${policy}: ${parsePolicy(policy).summary}`);
  await tell(describeContext(usage));
}

async function stats(_: string, { conversation, tell }: SlashContext): Promise<void> {
  await tell(describeSpeed(conversation.session.usage));
}

async function system(parameter: string, { conversation, tell }: SlashContext): Promise<void> {
  if (parameter === "") {
    await tell(conversation.system === undefined ? "There is no system prompt." : `System: ${conversation.system}`);
    return;
  }
  await conversation.changeSystem(parameter);
  await tell("Started over with this system prompt.");
}

async function reset(_: string, { conversation, tell }: SlashContext): Promise<void> {
  await conversation.reset();
  await tell("Started over.");
}

async function save(path: string, { conversation, io, tell }: SlashContext): Promise<void> {
  if (path === "") throw new ArgumentError("/save needs a file name.");
  const { messages, model, session } = conversation;
  await keepRead(io, [path], [model.info.location]);
  const text = writeTranscript({ model: model.info.location, context: session.context, messages });
  await io.files.write(path, text, { secret: true });
  await tell(`Saved ${counted(messages.length, "message")} to ${path}.`);
}

async function load(path: string, { conversation, io, tell }: SlashContext): Promise<void> {
  if (path === "" || path === "-") throw new ArgumentError("/load needs a file name.");
  const { messages } = readTranscript(await readTextFile(path, io), path);
  await conversation.restore(messages);
  await tell(`Loaded ${counted(messages.length, "message")}; they are read together with your next one.`);
}

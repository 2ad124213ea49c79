/** `sluice eval TASK`: what a model can do of a task that has right answers, under several context policies. */
import type { Command } from "commander";
import { type PasskeyArguments, passkey, passkeyCommand } from "../eval/passkey.js";
import type { Io } from "../io.js";

/** One subcommand for each task. `finish` receives the running command. */
export function evalCommand(command: Command, io: Io, finish: (work: Promise<number>) => Promise<void>): Command {
  const task = (name: string) => command.command(name).showHelpAfterError(`hint: see sluice eval ${name} --help`);
  passkeyCommand(task("passkey")).action((model: string, flags: Omit<PasskeyArguments, "model">) =>
    finish(passkey({ ...flags, model }, io)),
  );
  return command.description("Measure a model on a task with right answers, under several context policies.");
}

/** The error for a location where nothing lies, with what it was probably meant to be. */
import { NotFoundError } from "../util/errors.js";

export function noSuchPlace(location: string): NotFoundError {
  return new NotFoundError(`There is no file or folder ${location}. ${hintOf(location)}`, { location });
}

function hintOf(location: string): string {
  const scheme = /^([a-z][a-z\d+.-]+):\/\//i.exec(location)?.[1];
  if (scheme) return `Addresses of the kind ${scheme}: are not read; those of http:, https: and file: are.`;
  const shorthand = /^(~[\w.-]*)(?:[/\\]|$)/.exec(location)?.[1];
  if (shorthand) {
    return `Shells make a home folder of "${shorthand}", programs do not: write the path out, or join it to os.homedir().`;
  }
  const variable = /\$\{\w+\}|\$\w+|%\w+%/.exec(location)?.[0];
  if (variable)
    return `Shells replace "${variable}", programs do not: write the path out, or take it from process.env.`;
  return "A model of the hub is written hf:user/repo.";
}

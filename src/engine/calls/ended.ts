/** The errors of calls to what is no more there: the same words wherever they are made. */
import { ArgumentError } from "../../util/errors.js";

export function modelDisposed(): ArgumentError {
  return new ArgumentError("The model was disposed of; load it again.", { disposed: "model" });
}

export function sessionDisposed(): ArgumentError {
  return new ArgumentError("The session was disposed of; open a new one.", { disposed: "session" });
}

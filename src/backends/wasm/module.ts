/** The kernels' module: unpacked from base64, compiled once, with relaxed SIMD where the engine has it. */
import { InternalError, UnsupportedError } from "../../util/errors.js";
import { PLAIN, RELAXED } from "./generated/kernels.js";

export interface KernelModule {
  readonly module: WebAssembly.Module;
  readonly relaxed: boolean;
}

/** A function that a kernel module exports: 32-bit words in, a word or nothing out. */
export type KernelFunction = (...words: number[]) => number;

/** Compiles the relaxed build if the engine validates it and `relaxed` is not false. */
export async function compileKernels(relaxed: boolean | undefined): Promise<KernelModule> {
  const bytes = decode(RELAXED);
  const plain = decode(PLAIN);
  if (relaxed !== false && WebAssembly.validate(bytes)) {
    return { module: await compile(bytes), relaxed: true };
  }
  if (relaxed === true) throw new UnsupportedError("Relaxed SIMD was asked for, but this JavaScript engine lacks it.");
  if (!WebAssembly.validate(plain))
    throw new UnsupportedError("This JavaScript engine lacks WebAssembly SIMD or threads.");
  return { module: await compile(plain), relaxed: false };
}

/** Compiles a module that the engine has validated. */
async function compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    throw new UnsupportedError(
      `WebAssembly may not be compiled here (${error}). A page's content security policy must allow it by ` +
        "script-src 'wasm-unsafe-eval'.",
    );
  }
}

/** The bytes that a base64 text stands for. */
export function decode(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function isKernelFunction(value: unknown): value is KernelFunction {
  return typeof value === "function";
}

/** The exported function of that name. */
export function kernelFunction(instance: WebAssembly.Instance, name: string): KernelFunction {
  const value: unknown = instance.exports[name];
  if (!isKernelFunction(value)) throw new InternalError(`The kernels' module does not export ${name}.`);
  return value;
}

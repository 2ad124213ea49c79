// The fork-join pool: every thread runs the same list of commands. Threads meet at a sense-reversing barrier only before
// commands that ask for it; waiting spins briefly, then sleeps on the word that will change. Lists lie in several memories,
// of which each thread has an instance; all are announced in the first. See abi.ts for the format.
import {
  ARRIVED, COMMAND_ARGS, COMMAND_BYTES, EPOCH, EPOCH_SLEEPERS, FAILED_STALL, FAILURE, GENERATION, GENERATION_SLEEPERS,
  LIST, LIST_COUNT, LIST_PLACE, MEET_BEFORE, PARALLEL, STOP,
} from "./abi";
import { execute } from "./execute";

// About 20 microseconds at 4 GHz: longer than the gaps between commands, shorter than a time slice. Waking a sleeper takes 50.
const SPINS: i32 = 60000;
const SLICE_NS: i64 = 1000000000;
// Sleeps of one second that a thread waits for the others before it gives the pool up: no command takes that long.
const PATIENCE: i32 = 120;
// A caller that must not sleep (a browser's main thread) gives up after this many looks, some minutes.
const SPIN_PATIENCE: i64 = 100000000000;

/** Wakes those who sleep on `word`. A sleeper counts itself before it looks at the word, so none is missed. */
// @ts-ignore: decorator
@inline
function wake(word: usize, sleepers: usize): void {
  if (atomic.load<i32>(sleepers) > 0) atomic.notify(word, -1);
}

/** Returns when `word` no longer holds `old`; false when the pool failed meanwhile, or after `patience` seconds. */
function waitChange(control: usize, word: usize, sleepers: usize, old: i32, patience: i32, maySleep: bool): bool {
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(word) != old) return true;
  }
  if (!maySleep) return spinLong(control, word, old);
  atomic.add<i32>(sleepers, 1);
  let waited = 0;
  while (atomic.load<i32>(word) == old) {
    if (atomic.load<i32>(control + FAILURE) != 0 || waited > patience) break;
    if (atomic.wait<i32>(word, old, SLICE_NS) == 2) waited += i32(patience != i32.MAX_VALUE);
  }
  atomic.sub<i32>(sleepers, 1);
  return atomic.load<i32>(word) != old;
}

function spinLong(control: usize, word: usize, old: i32): bool {
  for (let i: i64 = 0; i < SPIN_PATIENCE; i++) {
    if (atomic.load<i32>(word) != old) return true;
    if (atomic.load<i32>(control + FAILURE) != 0) return false;
  }
  return false;
}

/** All threads meet. False when they cannot. */
function meet(control: usize, threads: i32, maySleep: bool): bool {
  const generation = atomic.load<i32>(control + GENERATION);
  if (atomic.add<i32>(control + ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(control + ARRIVED, 0);
    atomic.add<i32>(control + GENERATION, 1);
    wake(control + GENERATION, control + GENERATION_SLEEPERS);
    return true;
  }
  if (waitChange(control, control + GENERATION, control + GENERATION_SLEEPERS, generation, PATIENCE, maySleep)) {
    return true;
  }
  atomic.cmpxchg<i32>(control + FAILURE, 0, FAILED_STALL);
  return false;
}

/** Runs a list on this thread; false when the pool failed. */
function walk(control: usize, list: usize, count: i32, thread: i32, threads: i32, maySleep: bool): bool {
  for (let i = 0; i < count; i++) {
    const command = list + i * COMMAND_BYTES;
    const flags = load<i32>(command, 4);
    if (flags & MEET_BEFORE && !meet(control, threads, maySleep)) return false;
    if (flags & PARALLEL) execute(load<i32>(command), command + COMMAND_ARGS, thread, threads);
    else if (thread == 0) execute(load<i32>(command), command + COMMAND_ARGS, 0, 1);
  }
  return meet(control, threads, maySleep);
}

/** Runs a list on the calling thread alone. */
export function runAlone(list: usize, count: i32): void {
  for (let i = 0; i < count; i++) {
    const command = list + i * COMMAND_BYTES;
    execute(load<i32>(command), command + COMMAND_ARGS, 0, 1);
  }
}

/** Tells the other threads of a list in the memory number `place`. `control` is the first memory's. */
export function announce(control: usize, place: i32, list: usize, count: i32): void {
  store<i32>(control, i32(list), LIST);
  store<i32>(control, count, LIST_COUNT);
  store<i32>(control, place, LIST_PLACE);
  atomic.add<i32>(control + EPOCH, 1);
  wake(control + EPOCH, control + EPOCH_SLEEPERS);
}

/** Runs this thread's part of a list in this memory. Returns the FAILURE word: 0 when all threads are done. */
export function take(control: usize, list: usize, count: i32, thread: i32, threads: i32, maySleep: bool): i32 {
  walk(control, list, count, thread, threads, maySleep);
  return atomic.load<i32>(control + FAILURE);
}

/** Waits until list number `epoch` + 1 is announced; false when the pool stopped or failed. The first memory's. */
export function awaitList(control: usize, epoch: i32): bool {
  if (!waitChange(control, control + EPOCH, control + EPOCH_SLEEPERS, epoch, i32.MAX_VALUE, true)) return false;
  return atomic.load<i32>(control + STOP) == 0;
}

/** First address that the host may use. */
export function heapBase(): usize {
  return __heap_base;
}

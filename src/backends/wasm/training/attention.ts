/**
 * Attention over rows for training and its derivatives. Keys and values are packed by pages, then threads share tiles
 * of rows (forward) or chunks of tiles (backward), whose partial sums are added up last: all of it the same bits on any
 * number of threads, as the division follows from the shape alone (visit-plan.ts).
 */
import * as abi from "../../../../kernels/abi.js";
import * as at from "../../../../kernels/training/attend-record.js";
import type { Tensor } from "../../../tensor/tensor.js";
import type { AttentionBackCall, AttentionTraining, AttentionTrainingCall } from "../../../tensor/training.js";
import type { Machine } from "../machine.js";
import { expect, ownTensor, shape, type WasmTensor } from "../tensors.js";
import { type Figures, gradientOf, measure, newRecord, type Piece, setWords } from "./attention-call.js";
import { PAGE_KEYS } from "./visit-plan.js";
import { Workspace } from "./workspace.js";

/** Nanoseconds of one thread per multiplication, and per number that is moved. */
const PRODUCT_NS = 0.06;
const MOVE_NS = 0.3;

export function attentionTraining(machine: Machine): AttentionTraining {
  const workspace = new Workspace(machine, "Attention's work");
  return {
    attendRows: (call, out, logSums) => attendRows(machine, workspace, call, out, logSums),
    attendRowsBack: (call) => attendRowsBack(machine, workspace, call),
  };
}

function attendRows(
  machine: Machine,
  workspace: Workspace,
  call: AttentionTrainingCall,
  out: Tensor,
  logSums: Tensor,
): void {
  if (out.rows === 0) return;
  const figures = measure(machine, call, out, logSums);
  const { keyBytes, valueBytes, biasBytes } = sizes(call, figures);
  const work = workspace.pieces(keyBytes, valueBytes, biasBytes);
  const [keyColumns, valueRows, biases] = work.parts;
  const record = newRecord(machine, call, figures, biases);
  setWords(machine, record, [
    [at.KEY_COLUMNS, keyColumns],
    [at.VALUE_ROWS, valueRows],
  ]);
  prepare(machine, figures, record, work);
  figures.out.forgetForms();
  figures.logSums.forgetForms();
  const { plan, heads, width, valueWidth } = figures;
  const commands = machine.commands
    .begin(abi.ATTEND_ROWS, plan.pairs * heads * (width + valueWidth) * PRODUCT_NS)
    .touches(work.address, work.bytes, false)
    .touches(figures.out.address, figures.out.bytes, true)
    .touches(figures.logSums.address, figures.logSums.bytes, true);
  for (const piece of [figures.q, figures.sinks]) if (piece) commands.touches(piece.address, piece.bytes, false);
  commands.word(record).word(machine.scratch).end();
}

/** Bytes of the packed keys, the packed values, and the biases by distance. */
function sizes(call: AttentionTrainingCall, { heads, pages, width, valueWidth, bias }: Figures) {
  const page = heads * pages * PAGE_KEYS * 4;
  return { keyBytes: page * width, valueBytes: page * valueWidth, biasBytes: heads * call.group * bias.rowBytes };
}

/** Packs keys and values and lays out a table's biases. */
function prepare(
  machine: Machine,
  { k, v, bias, heads, width, valueWidth }: Figures,
  record: number,
  work: Piece,
): void {
  machine.commands
    .begin(abi.ATTEND_PACK, k.rows * heads * (width + valueWidth) * MOVE_NS)
    .touches(k.address, k.bytes, false)
    .touches(v.address, v.bytes, false)
    .touches(work.address, work.bytes, true)
    .word(record)
    .end();
  if (!bias.table) return;
  machine.commands
    .begin(abi.ATTEND_BIASES, (bias.rowBytes / 4) * heads * MOVE_NS)
    .touches(bias.table.address, bias.table.bytes, false)
    .touches(work.address, work.bytes, true)
    .word(record)
    .end();
}

function attendRowsBack(machine: Machine, workspace: Workspace, call: AttentionBackCall): void {
  if (call.out.rows === 0) return;
  const figures = measure(machine, call, call.out, call.logSums);
  const gradients = gradientsOf(machine, call, figures);
  const { bias, plan, heads, width, valueWidth } = figures;
  const { keyBytes, valueBytes, biasBytes } = sizes(call, figures);
  const work = workspace.pieces(
    keyBytes,
    keyBytes,
    valueBytes,
    biasBytes,
    heads * plan.slots * PAGE_KEYS * (width + valueWidth) * 4,
    gradients.sinks ? plan.chunks * heads * call.group * 4 : 0,
    gradients.table ? plan.chunks * heads * call.group * bias.rowBytes : 0,
  );
  const [keyColumns, keyRows, valueColumns, biases, partials, sinkPartials, tablePartials] = work.parts;
  const record = newRecord(machine, call, figures, biases);
  const first = figures.first * 4;
  setWords(machine, record, [
    [at.KEY_COLUMNS, keyColumns],
    [at.KEY_ROWS, keyRows],
    [at.VALUE_COLUMNS, valueColumns],
    [at.D_OUT, gradients.dOut.address + first * valueWidth],
    [at.DQ, gradients.dq.address + first * width],
    [at.DK, gradients.dk.address + call.head * width * 4],
    [at.DV, gradients.dv.address + call.head * valueWidth * 4],
    [at.PARTIALS, partials],
    [at.SINK_PARTIALS, gradients.sinks ? sinkPartials : 0],
    [at.SINKS_GRADIENT, gradients.sinks ? gradients.sinks.address + first : 0],
    [at.TABLE_PARTIALS, gradients.table ? tablePartials : 0],
    [at.TABLE_GRADIENT, gradients.table ? gradients.table.address + first : 0],
  ]);
  prepare(machine, figures, record, work);
  multiplyBack(machine, figures, gradients, record, work);
  merge(machine, figures, gradients, record, work);
}

type Gradients = ReturnType<typeof gradientsOf>;

/** What the derivatives read and are added to. */
function gradientsOf(machine: Machine, call: AttentionBackCall, { q, k, v, out, bias, logSums }: Figures) {
  const like = (tensor: Tensor, model: WasmTensor): WasmTensor => {
    const found = ownTensor(tensor);
    const fits = found.rows === model.rows && found.cols === model.cols;
    expect(fits, "attendRowsBack", `a gradient ${shape(found)} of ${shape(model)}`);
    return found;
  };
  const [dq, dk, dv] = [like(call.dq, q), like(call.dk, k), like(call.dv, v)];
  for (const tensor of [dq, dk, dv]) tensor.forgetForms();
  expect(!call.sinksGradient || call.sinks !== undefined, "attendRowsBack", "a gradient of sinks, but no sinks");
  expect(!call.tableGradient || bias.table !== undefined, "attendRowsBack", "a gradient of a table, but no table");
  return {
    dOut: like(call.dOut, out),
    dq,
    dk,
    dv,
    sinks: gradientOf(machine, call.sinksGradient, 1, logSums.cols),
    table: gradientOf(machine, call.tableGradient, bias.table?.rows ?? 0, bias.table?.cols ?? 0),
  };
}

function multiplyBack(machine: Machine, figures: Figures, gradients: Gradients, record: number, work: Piece): void {
  const { plan, heads, width, valueWidth, q, out, logSums, sinks } = figures;
  const commands = machine.commands
    .begin(abi.ATTEND_ROWS_BACK, plan.pairs * heads * (3 * width + 2 * valueWidth) * PRODUCT_NS)
    .touches(work.address, work.bytes, true)
    .touches(gradients.dq.address, gradients.dq.bytes, true);
  for (const piece of [q, out, logSums, gradients.dOut, sinks]) {
    if (piece) commands.touches(piece.address, piece.bytes, false);
  }
  commands.word(record).word(machine.scratch).end();
}

function merge(machine: Machine, figures: Figures, gradients: Gradients, record: number, work: Piece): void {
  const { plan, heads, width, valueWidth } = figures;
  const commands = machine.commands
    .begin(abi.ATTEND_MERGE, plan.slots * heads * PAGE_KEYS * (width + valueWidth) * MOVE_NS)
    .touches(work.address, work.bytes, false);
  for (const piece of [gradients.dk, gradients.dv, gradients.sinks, gradients.table]) {
    if (piece) commands.touches(piece.address, piece.bytes, true);
  }
  commands.word(record).end();
}

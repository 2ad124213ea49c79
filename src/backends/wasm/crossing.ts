/**
 * An operation runs in one memory. What it reads and lies in another is copied across first: the activations of a step
 * where the layers of the next memory begin, and its inputs. A model in one memory passes through unlooked at.
 */
import type {
  Angles,
  AppendCall,
  AttentionBias,
  AttentionCall,
  ConvolutionCall,
  ScanCall,
  SelectCall,
} from "../../tensor/backend.js";
import type { StepInput, Tensor, Weight } from "../../tensor/tensor.js";
import type { Machine } from "./machine.js";
import { expect, ownInput, ownTensor, ownWeight, type WasmInput, type WasmWeight } from "./tensors.js";

export class Crossing {
  /** @param machines by place; grows when memories are added */
  constructor(private readonly machines: readonly Machine[]) {}

  /** x in the memory of `to`. Whatever was to fill it is run before it is copied. */
  tensor(x: Tensor, to: Machine): Tensor {
    if (this.machines.length === 1) return x;
    const tensor = ownTensor(x);
    return tensor.place === to.place ? tensor : to.receive(tensor, this.machines[tensor.place]);
  }

  input(values: StepInput, to: Machine): WasmInput {
    const input = ownInput(values);
    return input.place === to.place ? input : to.receiveInput(input, this.machines[input.place]);
  }

  angles(angles: Angles, to: Machine): Angles {
    const values = this.input(angles.values, to);
    return values === angles.values ? angles : { ...angles, values };
  }

  append(call: AppendCall, to: Machine): AppendCall {
    if (this.machines.length === 1) return call;
    const keys = this.tensor(call.keys, to);
    const values = this.tensor(call.values, to);
    return { ...call, keys, values, angles: call.angles && this.angles(call.angles, to) };
  }

  attention(call: AttentionCall, to: Machine): AttentionCall {
    if (this.machines.length === 1) return call;
    // It is written, often in parts: a copy would be lost.
    expect(ownTensor(call.out).place === to.place, "attention", "an output in another memory than the cache");
    const queries = call.queries.map((query) => this.tensor(query, to));
    const bias = call.bias && this.bias(call.bias, to);
    const sinks = call.sinks && this.weight(call.sinks, to);
    return { ...call, queries, spans: this.input(call.spans, to), bias, sinks };
  }

  select(call: SelectCall, to: Machine): SelectCall {
    if (this.machines.length === 1) return call;
    // No others are looked at.
    const queries = call.queries.slice(-1).map((query) => this.tensor(query, to));
    const bias = call.bias && this.bias(call.bias, to);
    const sinks = call.sinks && this.weight(call.sinks, to);
    return { ...call, queries, spans: this.input(call.spans, to), bias, sinks };
  }

  private bias(bias: AttentionBias, to: Machine): AttentionBias {
    const places = this.input(bias.places, to);
    if (bias.kind === "linear") return { ...bias, slopes: this.input(bias.slopes, to), places };
    // Layers share one table, so most of them meet it in another memory.
    return { ...bias, table: this.weight(bias.table, to), buckets: this.input(bias.buckets, to), places };
  }

  /** A vector or small table in the memory of `to`: weights of no layer may lie apart from what they belong to. */
  weight(values: Weight, to: Machine): WasmWeight {
    const weight = ownWeight(values);
    return weight.place === to.place ? weight : to.receiveWeight(weight, this.machines[weight.place]);
  }

  convolution(call: ConvolutionCall, to: Machine): ConvolutionCall {
    return this.machines.length === 1 ? call : { ...call, x: this.tensor(call.x, to) };
  }

  scan(call: ScanCall, to: Machine): ScanCall {
    if (this.machines.length === 1) return call;
    const [x, dt, b, c] = [call.x, call.dt, call.b, call.c].map((input) => this.tensor(input, to));
    return { ...call, x, dt, b, c };
  }
}

/** Little-endian bytes, one after another, in an array that grows: the headers of files. */
export class ByteWriter {
  private bytes = new Uint8Array(1024);
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  get position(): number {
    return this.length;
  }

  /** Room for `count` more bytes; may replace `view`, so it comes before each write. */
  private advance(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(2 * this.length);
      grown.set(this.bytes);
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }

  u8(value: number): void {
    const at = this.advance(1);
    this.view.setUint8(at, value);
  }
  u16(value: number): void {
    const at = this.advance(2);
    this.view.setUint16(at, value, true);
  }
  u32(value: number): void {
    const at = this.advance(4);
    this.view.setUint32(at, value, true);
  }
  u64(value: number | bigint): void {
    const at = this.advance(8);
    this.view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  }
  f32(value: number): void {
    const at = this.advance(4);
    this.view.setFloat32(at, value, true);
  }
  f64(value: number): void {
    const at = this.advance(8);
    this.view.setFloat64(at, value, true);
  }
  raw(bytes: Uint8Array): void {
    const at = this.advance(bytes.length);
    this.bytes.set(bytes, at);
  }
  /** Zeros up to a multiple of `alignment`. */
  align(alignment: number): void {
    const at = this.advance((alignment - (this.length % alignment)) % alignment);
    this.bytes.fill(0, at, this.length);
  }

  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }
}

/** Little-endian bytes one after the other. */

export class ByteWriter {
  private readonly bytes: number[] = [];

  get length(): number {
    return this.bytes.length;
  }

  /** Appends the low `size` bytes of a value. */
  write(value: number | bigint, size: number): void {
    let rest = BigInt.asUintN(size * 8, BigInt(value));
    for (let index = 0; index < size; index++, rest >>= 8n) this.bytes.push(Number(rest & 0xffn));
  }

  append(bytes: Uint8Array): void {
    for (const byte of bytes) this.bytes.push(byte);
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }
}

/** A string table: names ending in zero bytes, each stored once. */
export class StringTable {
  private readonly writer = new ByteWriter();
  private readonly offsets = new Map<string, number>();

  constructor() {
    this.add('');
  }

  /** Offset of the name. */
  add(name: string): number {
    const known = this.offsets.get(name);
    if (known !== undefined) return known;
    const offset = this.writer.length;
    this.offsets.set(name, offset);
    this.writer.append(new TextEncoder().encode(name));
    this.writer.write(0, 1);
    return offset;
  }

  toBytes(): Uint8Array {
    return this.writer.toBytes();
  }
}

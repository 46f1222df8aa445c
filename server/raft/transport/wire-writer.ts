const VARINT = 0;
const LENGTH_DELIMITED = 2;
const CONTINUE = 0x80;

/**
 * Writes protobuf from its end to its start: the length of a nested message is known by the time
 * its prefix is written, so nothing is measured or copied twice.
 */
export class WireWriter {
  readonly #bytes: Buffer;
  #at: number;

  /** `bytesMax`: at least as much as will be written. */
  constructor(bytesMax: number) {
    this.#bytes = Buffer.allocUnsafe(bytesMax);
    this.#at = bytesMax;
  }

  /** How much was written so far; taken before a nested message, handed to `endNested` after. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }

  /** What was written; the writer is of no further use. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  /** A non-negative safe integer; left out when 0, as proto3 does. */
  integer(field: number, value: number): void {
    if (value !== 0) this.presentInteger(field, value);
  }

  /** An integer whose presence means something: written also when 0. */
  presentInteger(field: number, value: number): void {
    this.#varint(value);
    this.#tag(field, VARINT);
  }

  boolean(field: number, value: boolean): void {
    if (value) this.presentInteger(field, 1);
  }

  /** A field of ready-made content: bytes, text or an encoded message; left out when empty. */
  bytes(field: number, content: Uint8Array): void {
    if (content.length === 0) return;
    this.raw(content);
    this.#varint(content.length);
    this.#tag(field, LENGTH_DELIMITED);
  }

  /** Bytes that are already whole fields, or part of a field ended by `endNested`. */
  raw(content: Uint8Array): void {
    this.#at -= content.length;
    this.#bytes.set(content, this.#at);
  }

  /** Turns all that was written since `lengthBefore` into the nested message `field`. */
  endNested(field: number, lengthBefore: number): void {
    this.#varint(this.length - lengthBefore);
    this.#tag(field, LENGTH_DELIMITED);
  }

  #tag(field: number, wireType: number): void {
    // Field numbers here are below 16: one byte.
    this.#bytes[--this.#at] = (field << 3) | wireType;
  }

  #varint(value: number): void {
    if (value < CONTINUE) {
      this.#bytes[--this.#at] = value;
      return;
    }
    let bytes = 1;
    for (let rest = value; rest >= CONTINUE; rest = Math.floor(rest / CONTINUE)) bytes++;
    this.#at -= bytes;
    let at = this.#at;
    let rest = value;
    for (; rest >= CONTINUE; rest = Math.floor(rest / CONTINUE)) {
      this.#bytes[at++] = (rest % CONTINUE) | CONTINUE;
    }
    this.#bytes[at] = rest;
  }
}

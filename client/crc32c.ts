/** CRC32C (Castagnoli), reflected polynomial. */
const POLYNOMIAL = 0x82f63b78;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) {
    remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  }
  return remainder;
});

/** A running CRC32C, as the servers' snapshots state it: lower-case hex. */
export class Crc32c {
  #remainder = 0xffffffff;

  update(bytes: Uint8Array): void {
    let remainder = this.#remainder;
    for (const byte of bytes) {
      remainder = (TABLE[(remainder ^ byte) & 0xff] ?? 0) ^ (remainder >>> 8);
    }
    this.#remainder = remainder;
  }

  hex(): string {
    return ((this.#remainder ^ 0xffffffff) >>> 0).toString(16).padStart(8, '0');
  }
}

/** Bytes of one element of an int64 column. */
export const INT64_BYTES = 8;

export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;

const TWO_32 = 2 ** 32;

/** The lower 32 bits, as a signed number: half of how the counters are kept. */
export function lowHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

/** The upper 32 bits of an int64, as a signed number. */
export function highHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}

/** The int64 made of two signed halves. */
export function fromHalves(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Reads an unsigned 64-bit number that stays below 2^53; undefined when it does not. */
export function readSafeInteger(view: DataView, at: number): number | undefined {
  const value = view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Writes a whole number between 0 and 2^53 as 8 bytes, little-endian. */
export function writeSafeInteger(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

const GOLDEN = 0x9e3779b9;

/**
 * The hash that places an id (given as its halves) in the map. It also decides the order of ids in
 * snapshots, so members of one group must agree on it: it never changes.
 */
export function hashOfId(low: number, high: number): number {
  let hash = Math.imul(low ^ GOLDEN, 0x85ebca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash ^ high, 0xc2b2ae35);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0x27d4eb2f);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * A 64-bit hash of a set of items, each of four 32-bit words. Items come and go one by one at a
 * cost that does not depend on how many there are, and their order does not matter.
 */
export class StateHash {
  readonly #seed: number;
  /** Lower and upper half. */
  low = 0;
  high = 0;

  /** Sets with different seeds hash differently. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  add(first: number, second: number, third: number, fourth: number): void {
    const seed = this.#seed;
    this.low = (this.low + rest(absorb(seed, first), second, third, fourth)) | 0;
    this.high = (this.high + rest(absorb(seed ^ GOLDEN, fourth), third, second, first)) | 0;
  }

  /** Takes back what `add` did with the same words. */
  subtract(first: number, second: number, third: number, fourth: number): void {
    const seed = this.#seed;
    this.low = (this.low - rest(absorb(seed, first), second, third, fourth)) | 0;
    this.high = (this.high - rest(absorb(seed ^ GOLDEN, fourth), third, second, first)) | 0;
  }

  /** The hash as an unsigned 64-bit number. */
  value(): bigint {
    return (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0);
  }
}

/** Murmur of four words, the first of which is already absorbed into `start`. */
function rest(start: number, second: number, third: number, fourth: number): number {
  return finish(absorb(absorb(absorb(start, second), third), fourth));
}

/** One round and the end of the 32-bit Murmur hash, version 3. */
function absorb(hash: number, word: number): number {
  const scrambled = Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593);
  return (Math.imul(rotated(hash ^ scrambled, 13), 5) + 0xe6546b64) | 0;
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

function rotated(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

import { hashOfId } from './state-hash.ts';

/** Slots of a chunk: small enough that copying or splitting one takes microseconds. */
export const CHUNK_SLOTS = 1_024;
/** A chunk with more counters than this is split. */
const LOAD_MAX = 0.8;
const WORDS_PER_SLOT = 4;

/**
 * The counters whose hashes share their first `depth` bits, by open addressing. A slot is four
 * 32-bit words: the halves of the id and of the value, lower one first.
 */
export class CounterChunk {
  readonly depth: number;
  /** The map's version when the chunk was made; a snapshot of a later version must not see writes. */
  readonly version: number;
  readonly words: Int32Array;
  /** Not 0 where a slot holds a counter. */
  readonly used: Uint8Array;
  readonly #mask: number;
  count: number;

  /** Empty, with `slots` slots; or with the contents of `like`, in memory of its own. */
  constructor(shape: {
    readonly depth: number;
    readonly version: number;
    readonly slots?: number;
    readonly like?: CounterChunk;
  }) {
    const { depth, version, like, slots = CHUNK_SLOTS } = shape;
    this.depth = depth;
    this.version = version;
    this.words = like?.words.slice() ?? new Int32Array(slots * WORDS_PER_SLOT);
    this.used = like?.used.slice() ?? new Uint8Array(slots);
    this.count = like?.count ?? 0;
    this.#mask = this.used.length - 1;
  }

  get slots(): number {
    return this.used.length;
  }

  /** Whether one more counter would make searches long. */
  get full(): boolean {
    return this.count >= this.used.length * LOAD_MAX;
  }

  /** The slot that holds the id, or the free one where it belongs. */
  slotOf(hash: number, idLow: number, idHigh: number): number {
    const { used, words } = this;
    const mask = this.#mask;
    let slot = hash & mask;
    while (used[slot] !== 0) {
      const at = slot * WORDS_PER_SLOT;
      if (words[at] === idLow && words[at + 1] === idHigh) return slot;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  /** Puts an id that is not here into the free slot that `slotOf` found; its value is 0. */
  occupy(slot: number, idLow: number, idHigh: number): void {
    const at = slot * WORDS_PER_SLOT;
    this.used[slot] = 1;
    this.words[at] = idLow;
    this.words[at + 1] = idHigh;
    this.count++;
  }

  /** The same counters in memory of their own. */
  copy(version: number): CounterChunk {
    return new CounterChunk({ depth: this.depth, version, like: this });
  }

  /** The same counters in twice the slots. */
  enlarged(version: number): CounterChunk {
    const large = new CounterChunk({ depth: this.depth, version, slots: this.slots * 2 });
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.used[slot] !== 0) this.#moveTo(large, slot);
    }
    return large;
  }

  /** The counters whose hash goes on with a 0, and those whose hash goes on with a 1. */
  split(version: number): readonly [CounterChunk, CounterChunk] {
    const depth = this.depth + 1;
    const zero = new CounterChunk({ depth, version });
    const one = new CounterChunk({ depth, version });
    const bit = 32 - depth;
    for (let slot = 0; slot < this.slots; slot++) {
      if (this.used[slot] === 0) continue;
      const hash = this.#hashAt(slot);
      this.#moveTo(((hash >>> bit) & 1) === 0 ? zero : one, slot);
    }
    return [zero, one];
  }

  /**
   * The occupied slots in the order of (hash, id): the same for the same counters, whatever
   * happened before. Ids order as unsigned halves, upper one first.
   */
  sortedSlots(): Float64Array {
    const { slots } = this;
    const order = new Float64Array(this.count);
    let filled = 0;
    for (let slot = 0; slot < slots; slot++) {
      if (this.used[slot] !== 0) order[filled++] = this.#hashAt(slot) * slots + slot;
    }
    order.sort();
    this.#orderEqualHashes(order);
    for (let at = 0; at < order.length; at++) order[at] = (order[at] ?? 0) % slots;
    return order;
  }

  #orderEqualHashes(order: Float64Array): void {
    const { slots } = this;
    for (let end = 1; end < order.length; end++) {
      const moving = order[end] ?? 0;
      let at = end;
      for (; at > 0; at--) {
        const before = order[at - 1] ?? 0;
        if (Math.floor(before / slots) !== Math.floor(moving / slots)) break;
        if (!this.#idIsBelow(moving % slots, before % slots)) break;
        order[at] = before;
      }
      order[at] = moving;
    }
  }

  #idIsBelow(slot: number, other: number): boolean {
    const { words } = this;
    const high = (words[slot * WORDS_PER_SLOT + 1] ?? 0) >>> 0;
    const otherHigh = (words[other * WORDS_PER_SLOT + 1] ?? 0) >>> 0;
    if (high !== otherHigh) return high < otherHigh;
    return (words[slot * WORDS_PER_SLOT] ?? 0) >>> 0 < (words[other * WORDS_PER_SLOT] ?? 0) >>> 0;
  }

  #hashAt(slot: number): number {
    const at = slot * WORDS_PER_SLOT;
    return hashOfId(this.words[at] ?? 0, this.words[at + 1] ?? 0);
  }

  #moveTo(target: CounterChunk, slot: number): void {
    const { words } = this;
    const at = slot * WORDS_PER_SLOT;
    const low = words[at] ?? 0;
    const high = words[at + 1] ?? 0;
    const place = target.slotOf(hashOfId(low, high), low, high);
    target.occupy(place, low, high);
    target.words[place * WORDS_PER_SLOT + 2] = words[at + 2] ?? 0;
    target.words[place * WORDS_PER_SLOT + 3] = words[at + 3] ?? 0;
  }
}

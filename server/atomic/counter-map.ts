import { CHUNK_SLOTS, CounterChunk } from './counter-chunk.ts';
import { fromHalves, highHalf, lowHalf } from './int64.ts';
import { StateHash, hashOfId } from './state-hash.ts';

/** Prefix bits at which chunks grow instead of splitting; honest ids stay far below. */
const DEPTH_MAX = 20;
/** Load of the chunks that are made at the start, so that the first ones need not split. */
const INITIAL_LOAD = 0.6;
const COUNTER_HASH_SEED = 1;

/** The counters as of one moment; writes that come later do not show. Release it after use. */
export type FrozenCounters = {
  readonly size: number;
  /** In the order of the hashes that they hold. */
  readonly chunks: readonly CounterChunk[];
  /** Lets the map write to these chunks again. Idempotent. */
  release(): void;
};

/**
 * The replicated counters: int64 to int64, without an object per counter.
 *
 * Extendible hashing over small chunks: the directory holds, for every prefix of `#depth` hash
 * bits, the chunk of that prefix. A full chunk is split in two, so growing never stops the world;
 * a snapshot takes the chunks as they are, and whoever writes to such a chunk first copies it.
 * An id that was ever stored stays present, also with the value 0.
 */
export class CounterMap {
  #directory: CounterChunk[];
  #depth: number;
  #size = 0;
  #version = 1;
  readonly #frozen = new Set<number>();
  /** The newest version that a snapshot still reads; older chunks are copied before a write. */
  #protectedVersion = 0;

  /** Of all (id, value) pairs present. */
  readonly hash = new StateHash(COUNTER_HASH_SEED);

  /** What `find` saw: the value's halves; 0 when absent. */
  valueLow = 0;
  valueHigh = 0;
  #foundId = { low: 0, high: 0, hash: 0 };
  #foundChunk: CounterChunk;
  #foundSlot = 0;

  /** @param capacity - counters to make room for at the start; no limit. */
  constructor(capacity = 0) {
    const chunks = Math.ceil(capacity / (CHUNK_SLOTS * INITIAL_LOAD));
    this.#depth = Math.min(DEPTH_MAX, Math.max(0, Math.ceil(Math.log2(Math.max(1, chunks)))));
    this.#directory = Array.from(
      { length: 2 ** this.#depth },
      () => new CounterChunk({ depth: this.#depth, version: this.#version }),
    );
    this.#foundChunk = this.#chunkOf(0);
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of the chunks, for metrics. */
  get bytes(): number {
    let bytes = 0;
    for (const { words, used } of this.#chunks()) bytes += words.byteLength + used.byteLength;
    return bytes;
  }

  /** Looks an id up; the value is then in `valueLow` and `valueHigh`. */
  find(idLow: number, idHigh: number): boolean {
    const hash = hashOfId(idLow, idHigh);
    const chunk = this.#chunkOf(hash);
    const slot = chunk.slotOf(hash, idLow, idHigh);
    const found = this.#foundId;
    found.low = idLow;
    found.high = idHigh;
    found.hash = hash;
    this.#foundChunk = chunk;
    this.#foundSlot = slot;
    const present = chunk.used[slot] !== 0;
    this.valueLow = present ? (chunk.words[slot * 4 + 2] ?? 0) : 0;
    this.valueHigh = present ? (chunk.words[slot * 4 + 3] ?? 0) : 0;
    return present;
  }

  /** Stores a value for the id of the last `find`, which no other call may have followed. */
  store(valueLow: number, valueHigh: number): void {
    const { low, high } = this.#foundId;
    const present = this.#foundChunk.used[this.#foundSlot] !== 0;
    if (!present && this.#foundChunk.full) this.#makeRoom();
    if (this.#foundChunk.version < this.#protectedVersion) this.#copyChunk();
    const chunk = this.#foundChunk;
    const slot = this.#foundSlot;
    if (present) {
      this.hash.subtract(low, high, this.valueLow, this.valueHigh);
    } else {
      chunk.occupy(slot, low, high);
      this.#size++;
    }
    chunk.words[slot * 4 + 2] = valueLow;
    chunk.words[slot * 4 + 3] = valueHigh;
    this.hash.add(low, high, valueLow, valueHigh);
    this.valueLow = valueLow;
    this.valueHigh = valueHigh;
  }

  /** The value of an id, or undefined when it was never stored. */
  get(id: bigint): bigint | undefined {
    const present = this.find(lowHalf(id), highHalf(id));
    return present ? fromHalves(this.valueLow, this.valueHigh) : undefined;
  }

  set(id: bigint, value: bigint): void {
    this.find(lowHalf(id), highHalf(id));
    this.store(lowHalf(value), highHalf(value));
  }

  /** The counters as of now, for a snapshot that reads them while writes go on. */
  freeze(): FrozenCounters {
    const version = ++this.#version;
    this.#frozen.add(version);
    this.#protectedVersion = version;
    return {
      size: this.#size,
      chunks: [...this.#chunks()],
      release: () => {
        this.#frozen.delete(version);
        this.#protectedVersion = Math.max(0, ...this.#frozen);
      },
    };
  }

  *#chunks(): Generator<CounterChunk> {
    let last: CounterChunk | undefined;
    for (const chunk of this.#directory) {
      if (chunk !== last) yield chunk;
      last = chunk;
    }
  }

  /** The first `#depth` bits of a hash; two shifts, since one by 32 would shift by 0. */
  #prefixOf(hash: number): number {
    return (hash >>> 1) >>> (31 - this.#depth);
  }

  #chunkOf(hash: number): CounterChunk {
    const chunk = this.#directory[this.#prefixOf(hash)];
    if (chunk === undefined) throw new Error('the directory lacks a prefix');
    return chunk;
  }

  /** Splits the chunk of the last `find` until the id fits. */
  #makeRoom(): void {
    const { low, high, hash } = this.#foundId;
    while (this.#foundChunk.full) {
      const chunk = this.#foundChunk;
      if (chunk.depth === DEPTH_MAX) {
        this.#replace(hash, [chunk.enlarged(this.#version)]);
      } else {
        if (chunk.depth === this.#depth) this.#doubleDirectory();
        this.#replace(hash, chunk.split(this.#version));
      }
      this.#foundChunk = this.#chunkOf(hash);
    }
    this.#foundSlot = this.#foundChunk.slotOf(hash, low, high);
  }

  #copyChunk(): void {
    const copy = this.#foundChunk.copy(this.#version);
    this.#replace(this.#foundId.hash, [copy]);
    this.#foundChunk = copy;
  }

  #doubleDirectory(): void {
    this.#directory = this.#directory.flatMap((chunk) => [chunk, chunk]);
    this.#depth++;
  }

  /** Puts chunks, each for an equal share, in the place of the chunk that holds `hash`. */
  #replace(hash: number, chunks: readonly CounterChunk[]): void {
    const width = 2 ** (this.#depth - this.#chunkOf(hash).depth);
    const start = this.#prefixOf(hash) - (this.#prefixOf(hash) % width);
    const share = width / chunks.length;
    for (const [at, chunk] of chunks.entries()) {
      this.#directory.fill(chunk, start + at * share, start + (at + 1) * share);
    }
  }
}

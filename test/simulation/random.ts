/**
 * The only source of chance in a simulation: the same seed gives the same run. The generator is
 * sfc32 (Chris Doty-Humphrey's small fast counter), which passes the usual batteries.
 */
export class SimulationRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `label` separates the streams of one seed: a draw more in one does not shift another. */
  constructor(seed: number, label = '') {
    this.#a = 0x9e37_79b9 ^ seed;
    this.#b = Math.floor(seed / 0x1_0000_0000) ^ 0x243f_6a88;
    this.#c = textHash(label);
    for (let i = 0; i < 15; i++) this.bits();
  }

  /** 32 random bits as an unsigned integer. */
  bits(): number {
    const t = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + t) | 0;
    return t >>> 0;
  }

  /** From 0 up to 1, exclusive. */
  fraction(): number {
    return this.bits() / 0x1_0000_0000;
  }

  /** An integer from `low` to `high`, both inclusive. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.fraction() * (high - low + 1));
  }

  /** From `low` up to `high`. */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Waiting times of independent events that come `mean` apart. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.fraction());
  }

  /** One element; undefined only when there is none. */
  pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.fraction() * from.length)];
  }

  shuffle<T>(from: readonly T[]): T[] {
    const result = [...from];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      const kept = result[i];
      const other = result[j];
      if (kept === undefined || other === undefined) continue;
      result[i] = other;
      result[j] = kept;
    }
    return result;
  }
}

/** FNV-1a of a text, as 32 unsigned bits. */
export function textHash(text: string): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return hash >>> 0;
}

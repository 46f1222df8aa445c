/**
 * A small seeded generator (splitmix32), kept in the state so that chance is an input like any
 * other: the same seed and events give the same elections (randomised timeouts, §5.2).
 */
export type Prng = {
  /** The next number in [0, 1). */
  next(): number;
};

/** A generator that repeats itself for the same `seed`. */
export function createPrng(seed: number): Prng {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return ((z ^ (z >>> 15)) >>> 0) / 0x1_0000_0000;
    },
  };
}

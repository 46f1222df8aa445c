/** How long a number of calls took. Percentiles are upper bounds of buckets 8 % wide. */
export type LatencySummary = {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
};

const SHORTEST_MS = 0.01;
const GROWTH = 1.08;
/** Covers SHORTEST_MS to about two minutes; what is longer counts as that. */
const BUCKETS = 212;
const LOG_GROWTH = Math.log(GROWTH);

/** Counts durations in buckets of equal ratio: constant memory, no allocation to record one. */
export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;

  record(durationMs: number): void {
    const bucket = Math.ceil(
      Math.log(Math.max(durationMs, SHORTEST_MS) / SHORTEST_MS) / LOG_GROWTH,
    );
    const index = Math.min(bucket, BUCKETS - 1);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#count++;
  }

  summary(): LatencySummary {
    return { count: this.#count, p50Ms: this.#percentile(0.5), p99Ms: this.#percentile(0.99) };
  }

  reset(): void {
    this.#counts.fill(0);
    this.#count = 0;
  }

  #percentile(fraction: number): number {
    if (this.#count === 0) return 0;
    const wanted = Math.ceil(this.#count * fraction);
    let passed = 0;
    for (const [index, count] of this.#counts.entries()) {
      passed += count;
      if (passed >= wanted) return SHORTEST_MS * GROWTH ** index;
    }
    return SHORTEST_MS * GROWTH ** (BUCKETS - 1);
  }
}

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

/** Latencies of a while, in whole microseconds. */
export type LatencySummary = {
  readonly count: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
};

const NONE: LatencySummary = {
  count: 0,
  meanUs: 0,
  p50Us: 0,
  p90Us: 0,
  p99Us: 0,
  p999Us: 0,
  maxUs: 0,
};

/** A histogram of latencies with three significant digits, of bounded size. */
export class Latencies {
  readonly #histogram: RecordableHistogram = createHistogram({ figures: 3 });

  record(ms: number): void {
    this.#histogram.record(Math.max(1, Math.round(ms * 1_000)));
  }

  reset(): void {
    this.#histogram.reset();
  }

  summary(): LatencySummary {
    const histogram = this.#histogram;
    if (histogram.count === 0) return NONE;
    return {
      count: histogram.count,
      meanUs: Math.round(histogram.mean),
      p50Us: histogram.percentile(50),
      p90Us: histogram.percentile(90),
      p99Us: histogram.percentile(99),
      p999Us: histogram.percentile(99.9),
      maxUs: histogram.max,
    };
  }
}

/** A summary in one line. */
export function latencyText(summary: LatencySummary): string {
  const { p50Us, p90Us, p99Us, maxUs } = summary;
  return `p50=${p50Us} p90=${p90Us} p99=${p99Us} max=${maxUs} us`;
}

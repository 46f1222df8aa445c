import { LatencyHistogram, type LatencySummary } from './latency-histogram.ts';

/** What happened in one interval of about a second. */
export type ActivitySample = {
  /** Time from the end of the interval to now. */
  readonly ageMs: number;
  readonly intervalMs: number;
  readonly appliedOperations: number;
  readonly writes: LatencySummary;
  readonly reads: LatencySummary;
  /** The longest that the event loop was held up. */
  readonly loopDelayMaxMs: number;
};

export type ActivitySource = {
  /** Monotonic milliseconds. */
  now(): number;
  /** Operations applied since the start; falls when a snapshot of another history is loaded. */
  appliedOperations(): number;
  /** The longest delay of the event loop since the last call. */
  loopDelayMaxMs(): number;
};

type Interval = Omit<ActivitySample, 'ageMs'> & { readonly endedAt: number };

/** How many intervals are kept: ten minutes. */
export const ACTIVITY_SAMPLES_MAX = 600;

/** Keeps the last intervals of one group's activity on this server; the oldest are dropped. */
export class ActivityLog {
  readonly #source: ActivitySource;
  readonly #writes = new LatencyHistogram();
  readonly #reads = new LatencyHistogram();
  readonly #intervals: Interval[] = [];
  #startedAt: number;
  #appliedBefore: number;

  constructor(source: ActivitySource) {
    this.#source = source;
    this.#startedAt = source.now();
    this.#appliedBefore = source.appliedOperations();
  }

  /** A proposal made here was applied `durationMs` later. */
  recordWrite(durationMs: number): void {
    this.#writes.record(durationMs);
  }

  recordRead(durationMs: number): void {
    this.#reads.record(durationMs);
  }

  /** Ends the interval under way and starts the next. */
  endInterval(): void {
    const endedAt = this.#source.now();
    const applied = this.#source.appliedOperations();
    this.#intervals.push({
      endedAt,
      intervalMs: endedAt - this.#startedAt,
      appliedOperations: Math.max(0, applied - this.#appliedBefore),
      writes: this.#writes.summary(),
      reads: this.#reads.summary(),
      loopDelayMaxMs: this.#source.loopDelayMaxMs(),
    });
    if (this.#intervals.length > ACTIVITY_SAMPLES_MAX) this.#intervals.shift();
    this.#writes.reset();
    this.#reads.reset();
    this.#startedAt = endedAt;
    this.#appliedBefore = applied;
  }

  /** The newest intervals, oldest first. */
  samples(samplesMax: number): readonly ActivitySample[] {
    const now = this.#source.now();
    const newest = samplesMax <= 0 ? [] : this.#intervals.slice(-samplesMax);
    return newest.map(({ endedAt, ...interval }) => ({ ...interval, ageMs: now - endedAt }));
  }
}

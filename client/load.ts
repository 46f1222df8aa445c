import type { AtomicClient } from './atomic-client.ts';
import { AtomicError } from './atomic-error.ts';
import type { History, HistoryCall, HistoryResult } from './history.ts';
import { HistoryRecorder } from './history.ts';
import { Latencies, type LatencySummary } from './latencies.ts';

export type LoadKind = 'get' | 'exchange' | 'cas';

/** A closed loop: each of `inFlight` workers has one operation under way at any time. */
export type LoadOptions = {
  readonly inFlight: number;
  readonly keys: number;
  /** The first id; the others follow on. */
  readonly firstId: bigint;
  readonly durationMs: number;
  readonly warmUpMs: number;
  /** How long a worker rests after each operation; 0: not at all. */
  readonly paceMs: number;
  /** Shares of the kinds of operation. */
  readonly mix: Readonly<Record<LoadKind, number>>;
  /** Records every operation; the load ends early when the record is full. */
  readonly record: boolean;
  readonly stop: AbortSignal;
};

export type LoadReport = {
  readonly operations: number;
  readonly seconds: number;
  readonly operationsPerSecond: number;
  /** Compare-exchanges that found another value. */
  readonly mismatches: number;
  readonly failures: number;
  /** Failures whose outcome is unknown. */
  readonly unknown: number;
  /** The longest time in which no operation succeeded. */
  readonly longestGapMs: number;
  /** CPU time of this process. */
  readonly clientCpuUsPerOperation: number;
  readonly latency: LatencySummary;
};

/** Operations that are recorded at most: some gigabyte of memory. */
const RECORDED_MAX = 4_000_000;
/** A worker rests after a failure, lest it spins while there is no leader. */
const FAILURE_REST_MS = 20;
/** The worker number under which the first and last reads are recorded. */
const OBSERVER = -1;

/** Loads a group and measures it; `history` is there if it was to be recorded. */
export async function runLoad(
  client: AtomicClient,
  options: LoadOptions,
): Promise<{ report: LoadReport; history?: History }> {
  const load = new Load(client, options);
  const report = await load.run();
  return options.record ? { report, history: load.history() } : { report };
}

class Load {
  readonly #client: AtomicClient;
  readonly #options: LoadOptions;
  readonly #latencies = new Latencies();
  readonly #recorder: HistoryRecorder | undefined;
  /** What each register was last seen to hold: a guess for the next compare-exchange. */
  readonly #seen = new Map<bigint, bigint>();
  /** Written values are unique, so that a read tells whose write it saw. */
  #nextValue = 0n;
  #ended = false;
  #operations = 0;
  #mismatches = 0;
  #failures = 0;
  #unknown = 0;
  #lastSuccess = 0;
  #longestGapMs = 0;

  constructor(client: AtomicClient, options: LoadOptions) {
    this.#client = client;
    this.#options = options;
    this.#recorder = options.record ? new HistoryRecorder() : undefined;
  }

  async run(): Promise<LoadReport> {
    const { inFlight, durationMs, warmUpMs, stop } = this.#options;
    await this.#readAll('first');
    const workers = Array.from({ length: inFlight }, (_, at) => this.#work(at));
    await restFor(warmUpMs, stop);
    this.#startMeasuring();
    const cpuBefore = process.cpuUsage();
    const start = performance.now();
    await restFor(durationMs, stop, () => this.#ended);
    const elapsedMs = performance.now() - start;
    const cpu = process.cpuUsage(cpuBefore);
    this.#noteGap();
    const report = this.#report(elapsedMs, cpu.user + cpu.system);
    this.#ended = true;
    await Promise.all(workers);
    if (this.#recorder !== undefined) await this.#readAll('last');
    return report;
  }

  history(): History {
    return this.#recorder?.history() ?? { initialValues: new Map(), operations: [] };
  }

  #startMeasuring(): void {
    this.#latencies.reset();
    this.#operations = 0;
    this.#mismatches = 0;
    this.#failures = 0;
    this.#unknown = 0;
    this.#lastSuccess = performance.now();
    this.#longestGapMs = 0;
  }

  #report(elapsedMs: number, cpuUs: number): LoadReport {
    const operations = this.#operations;
    return {
      operations,
      seconds: Number((elapsedMs / 1_000).toFixed(3)),
      operationsPerSecond: Math.round((operations / elapsedMs) * 1_000),
      mismatches: this.#mismatches,
      failures: this.#failures,
      unknown: this.#unknown,
      longestGapMs: Math.round(this.#longestGapMs),
      clientCpuUsPerOperation: Number((cpuUs / Math.max(1, operations)).toFixed(2)),
      latency: this.#latencies.summary(),
    };
  }

  async #work(worker: number): Promise<void> {
    const { keys, firstId } = this.#options;
    const id = firstId + BigInt(worker % keys);
    while (!this.#ended && !this.#options.stop.aborted) {
      if ((this.#recorder?.size ?? 0) >= RECORDED_MAX) this.#ended = true;
      const call = this.#nextCall(id);
      const start = performance.now();
      const open = this.#recorder?.invoke(worker, id, call);
      const result = await this.#perform(id, call);
      if (open !== undefined) this.#recorder?.return(open, result);
      if (result.outcome === 'ok') this.#noteAnswer(id, call, result, performance.now() - start);
      else await this.#noteFailure(result);
      if (this.#options.paceMs > 0) await restFor(this.#options.paceMs, this.#options.stop);
    }
  }

  #noteAnswer(
    id: bigint,
    call: HistoryCall,
    result: Extract<HistoryResult, { outcome: 'ok' }>,
    ms: number,
  ): void {
    this.#operations += 1;
    this.#noteGap();
    this.#latencies.record(ms);
    if (!result.exchanged) this.#mismatches += 1;
    const written = call.kind !== 'get' && result.exchanged;
    this.#seen.set(id, written ? call.newValue : result.oldValue);
  }

  #noteGap(): void {
    const now = performance.now();
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastSuccess);
    this.#lastSuccess = now;
  }

  async #noteFailure(result: HistoryResult): Promise<void> {
    this.#failures += 1;
    if (result.outcome === 'ambiguous') this.#unknown += 1;
    await restFor(FAILURE_REST_MS, this.#options.stop);
  }

  #nextCall(id: bigint): HistoryCall {
    const { mix } = this.#options;
    const total = mix.get + mix.exchange + mix.cas;
    // A pure mix needs no dice, which would cost more than the rest of this function.
    const dice = mix.cas === total ? total : Math.random() * total;
    if (dice < mix.get) return { kind: 'get' };
    const newValue = this.#value();
    if (dice < mix.get + mix.exchange) return { kind: 'exchange', newValue };
    return { kind: 'compareExchange', expectedValue: this.#seen.get(id) ?? 0n, newValue };
  }

  #value(): bigint {
    this.#nextValue += 1n;
    return this.#nextValue;
  }

  async #perform(id: bigint, call: HistoryCall): Promise<HistoryResult> {
    try {
      if (call.kind === 'compareExchange') {
        const { exchanged, oldValue } = await this.#client.compareExchange(id, call);
        return { outcome: 'ok', oldValue, exchanged };
      }
      const oldValue =
        call.kind === 'get'
          ? await this.#client.get(id)
          : await this.#client.exchange(id, call.newValue);
      return { outcome: 'ok', oldValue, exchanged: true };
    } catch (error) {
      if (!(error instanceof AtomicError)) throw error;
      return { outcome: error.outcome === 'unknown' ? 'ambiguous' : 'failed' };
    }
  }

  /** Reads every register before and after: what they held, and that nothing was lost at the end. */
  async #readAll(when: 'first' | 'last'): Promise<void> {
    const { keys, firstId } = this.#options;
    await Promise.all(
      Array.from({ length: keys }, (_, at) => this.#readOne(firstId + BigInt(at), when)),
    );
  }

  async #readOne(id: bigint, when: 'first' | 'last'): Promise<void> {
    const open = this.#recorder?.invoke(OBSERVER, id, { kind: 'get' });
    const result = await this.#perform(id, { kind: 'get' });
    if (open !== undefined) this.#recorder?.return(open, result);
    if (when === 'last') return;
    // What a counter holds at first must be known: nobody in the history has written it.
    if (result.outcome !== 'ok') {
      await restFor(FAILURE_REST_MS, this.#options.stop);
      return this.#options.stop.aborted ? undefined : this.#readOne(id, when);
    }
    this.#seen.set(id, result.oldValue);
    this.#recorder?.startsWith(id, result.oldValue);
    if (result.oldValue > this.#nextValue) this.#nextValue = result.oldValue;
  }
}

/** Looks every so often whether it is over early. */
const LOOK_EVERY_MS = 50;

function restFor(ms: number, stop: AbortSignal, over: () => boolean = () => false): Promise<void> {
  const end = performance.now() + ms;
  return new Promise((resolve) => {
    const look = (): void => {
      const leftMs = end - performance.now();
      if (leftMs <= 0 || stop.aborted || over()) resolve();
      else setTimeout(look, Math.min(LOOK_EVERY_MS, leftMs));
    };
    look();
  });
}

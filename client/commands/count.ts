import { Command } from 'commander';
import { connect, type AtomicClient } from '../atomic-client.ts';
import { Counter, CounterBroken, type CountStep } from '../counter.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { Latencies, latencyText } from '../latencies.ts';
import { jsonOf, pauseFor, type Terminal } from '../terminal.ts';
import { seconds, wholeNumber, withGroupFlags, type GroupFlags } from './arguments.ts';

type CountFlags = GroupFlags & {
  readonly threadNum: number;
  readonly logEachRequest?: boolean;
  readonly exactlyOnce?: boolean;
  readonly duration: number;
};

const REPORT_EVERY_MS = 1_000;
/** With --log-each-request every worker rests this long after an answer, as braft's does. */
const LOGGED_REST_MS = 1_000;
/** After a failure that came at once; slower failures have waited long enough. */
const FAILURE_REST_MS = 50;
/** Failures told in full each second; the rest are counted. */
const WARNINGS_PER_REPORT_MAX = 3;

/** `atomic count`: the seed's client, one worker per id from 1 to thread_num. */
export function countCommand(terminal: Terminal): Command {
  const command = withGroupFlags(new Command('count'), 1_000)
    .description(
      'Count ids 1 to thread_num up by compare-exchange and check every answer (braft atomic_client). Ctrl-C ends it with a summary and exit code 0; a counter that is not where it must be ends it with 255.',
    )
    .option(
      '--thread-num <n>',
      'ids, each counted by a worker of its own',
      wholeNumber(1, 100_000),
      1,
    )
    .option('--log-each-request', 'print every answer; one request a second and worker')
    .option('--exactly-once', 'number the writes, so that none counts twice or gets lost')
    .option('--duration <seconds>', 'end after this long; 0: never', seconds, 0);
  return command.action(async () => {
    const flags = command.opts<CountFlags>();
    const { conf: servers, group, timeoutMs, exactlyOnce = false } = flags;
    await using client = connect({ servers, group, timeoutMs, exactlyOnce });
    await new CountRun(client, flags, terminal).run();
  });
}

class CountRun {
  readonly #client: AtomicClient;
  readonly #flags: CountFlags;
  readonly #terminal: Terminal;
  readonly #latencies = new Latencies();
  readonly #counters: Counter[];
  readonly #stop: AbortSignal;
  readonly #broken = new AbortController();
  #brokenReason: CounterBroken | undefined;
  #failures = 0;
  #adopted = 0;
  #warnings = 0;

  constructor(client: AtomicClient, flags: CountFlags, terminal: Terminal) {
    this.#client = client;
    this.#flags = flags;
    this.#terminal = terminal;
    this.#counters = Array.from(
      { length: flags.threadNum },
      (_, at) => new Counter(client, BigInt(at + 1)),
    );
    const signals = [terminal.stopSignal(), this.#broken.signal];
    this.#stop = AbortSignal.any(signals);
  }

  async run(): Promise<void> {
    const start = performance.now();
    const { duration } = this.#flags;
    const timer =
      duration > 0
        ? setTimeout(() => {
            this.#broken.abort();
          }, duration * 1_000)
        : undefined;
    const reports = setInterval(() => {
      this.#report();
    }, REPORT_EVERY_MS);
    await Promise.all(this.#counters.map((counter) => this.#work(counter)));
    clearTimeout(timer);
    clearInterval(reports);
    this.#summarise((performance.now() - start) / 1_000);
    if (this.#brokenReason === undefined) return;
    throw new CommandError(this.#brokenReason.message, EXIT.braftFailure);
  }

  async #work(counter: Counter): Promise<void> {
    while (!this.#stop.aborted) {
      const start = performance.now();
      try {
        const step = await counter.step();
        await this.#note(counter, step, performance.now() - start);
      } catch (error) {
        if (!(error instanceof CounterBroken)) throw error;
        this.#brokenReason ??= error;
        this.#broken.abort();
      }
    }
  }

  async #note(counter: Counter, step: CountStep, ms: number): Promise<void> {
    if (step.type === 'failed') {
      this.#failures += 1;
      this.#warnOf(counter, step.error.message);
      if (ms < FAILURE_REST_MS) await pauseFor(FAILURE_REST_MS, this.#stop);
      return;
    }
    if (step.type === 'adopted') this.#adopted += 1;
    this.#latencies.record(ms);
    if (this.#flags.logEachRequest !== true) return;
    this.#logAnswer(counter, step, ms);
    await pauseFor(LOGGED_REST_MS, this.#stop);
  }

  #logAnswer(counter: Counter, step: Exclude<CountStep, { type: 'failed' }>, ms: number): void {
    const { oldValue, newValue } = step;
    const server = this.#client.leader ?? '';
    const latencyUs = Math.round(ms * 1_000);
    this.#terminal.print(
      this.#flags.json === true
        ? jsonOf({ type: 'answer', server, id: counter.id, oldValue, newValue, latencyUs })
        : `Received response from ${server} old_value=${oldValue} new_value=${newValue} latency=${latencyUs}`,
    );
  }

  #warnOf(counter: Counter, message: string): void {
    this.#warnings += 1;
    if (this.#warnings > WARNINGS_PER_REPORT_MAX) return;
    this.#terminal.warn(`Fail to count id=${counter.id}: ${message}`);
  }

  #report(): void {
    const hidden = this.#warnings - WARNINGS_PER_REPORT_MAX;
    if (hidden > 0) this.#terminal.warn(`... and ${hidden} more failures in this second`);
    this.#warnings = 0;
    const { group, conf, logEachRequest, json } = this.#flags;
    if (logEachRequest === true) return;
    const summary = this.#latencies.summary();
    this.#latencies.reset();
    const leader = this.#client.leader ?? null;
    this.#terminal.print(
      json === true
        ? jsonOf({ type: 'second', leader, qps: summary.count, ...summary })
        : `Sending Request to ${group} (${conf}) at qps=${summary.count} latency=${summary.meanUs} ${latencyText(summary)}`,
    );
  }

  #summarise(elapsedSeconds: number): void {
    const counters = this.#counters.map(({ totals }) => totals);
    const sum = (name: 'successes' | 'unknown'): number =>
      counters.reduce((total, counter) => total + counter[name], 0);
    const totals = {
      successes: sum('successes'),
      unknown: sum('unknown'),
      failures: this.#failures,
      adopted: this.#adopted,
      seconds: Number(elapsedSeconds.toFixed(3)),
      broken: this.#brokenReason?.message ?? null,
    };
    if (this.#flags.json === true) {
      this.#terminal.print(jsonOf({ type: 'summary', ...totals, counters }));
      return;
    }
    const { successes, unknown, failures, adopted } = totals;
    this.#terminal.print(
      `Counter client is going to quit: successes=${successes} unknown=${unknown} failures=${failures} adopted=${adopted} ids=${counters.length} seconds=${totals.seconds}`,
    );
  }
}

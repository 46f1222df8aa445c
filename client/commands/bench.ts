import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { connect } from '../atomic-client.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { historyToJson, type History } from '../history.ts';
import { latencyText } from '../latencies.ts';
import { runLoad, type LoadKind, type LoadReport } from '../load.ts';
import { jsonOf, type Terminal } from '../terminal.ts';
import { judge, operationText, type Verdict } from '../verdict.ts';
import { int64, seconds, wholeNumber, withGroupFlags, type GroupFlags } from './arguments.ts';

type Mix = Readonly<Record<LoadKind, number>>;

type BenchFlags = GroupFlags & {
  readonly inFlight: number;
  readonly keys?: number;
  readonly firstId: bigint;
  readonly duration: number;
  readonly warmUp: number;
  readonly paceMs: number;
  readonly mix: Mix;
  readonly verify?: boolean;
  readonly history?: string;
  readonly exactlyOnce?: boolean;
};

/** `atomic bench`: a closed loop of operations, measured and, if asked, judged. */
export function benchCommand(terminal: Terminal): Command {
  const command = withGroupFlags(new Command('bench'), 2_000)
    .description(
      'Measure a group: throughput, latency percentiles, client CPU. --verify records every operation and judges the history; exit code 6 if it breaks a promise.',
    )
    .option('-n, --in-flight <n>', 'operations under way at any time', wholeNumber(1, 100_000), 64)
    .option(
      '--keys <n>',
      'counters used; default: one for each in flight',
      wholeNumber(1, 10_000_000),
    )
    .addOption(
      new Option('--first-id <id>', 'the first counter; the others follow on')
        .argParser(int64)
        .default(1_000_000n, '1000000'),
    )
    .option('--duration <seconds>', 'measured time; 0: until Ctrl-C', seconds, 10)
    .option('--warm-up <seconds>', 'time before it that does not count', seconds, 1)
    .option('--pace-ms <ms>', 'rest of each worker between operations', wholeNumber(0, 60_000), 0)
    .option(
      '--mix <shares>',
      'cas, get, exchange, or shares such as get=90,cas=10',
      mix,
      mix('cas'),
    )
    .option('--exactly-once', 'number the writes')
    .option('--verify', 'record all operations and judge them')
    .option('--history <file>', 'write the recorded operations to a JSON file');
  return command.action(async () => {
    await bench(command.opts<BenchFlags>(), terminal);
  });
}

async function bench(flags: BenchFlags, terminal: Terminal): Promise<void> {
  const { conf: servers, group, timeoutMs, exactlyOnce = false, verify = false } = flags;
  await using client = connect({ servers, group, timeoutMs, exactlyOnce });
  const { report, history } = await runLoad(client, {
    ...flags,
    keys: flags.keys ?? flags.inFlight,
    durationMs: measuredMs(flags),
    warmUpMs: flags.warmUp * 1_000,
    record: verify || flags.history !== undefined,
    stop: terminal.stopSignal(),
  });
  if (history !== undefined) await save(flags.history, history);
  const verdict = verify && history !== undefined ? judge(history) : undefined;
  const { inFlight, json } = flags;
  if (json === true) terminal.print(jsonOf({ inFlight, ...report, verdict }));
  else terminal.print([reportText(inFlight, report), ...verdictLines(verdict)].join('\n'));
  if (verdict?.ok === false) terminal.setExitCode(EXIT.violation);
  else if (report.operations === 0) {
    throw new CommandError('not one operation succeeded', EXIT.failed);
  }
}

/** No end but Ctrl-C when it is 0. */
function measuredMs({ duration }: BenchFlags): number {
  return duration === 0 ? Infinity : duration * 1_000;
}

function reportText(inFlight: number, report: LoadReport): string {
  const { operationsPerSecond, latency, clientCpuUsPerOperation, failures, unknown, longestGapMs } =
    report;
  return [
    `n=${inFlight}: ${operationsPerSecond} operations/s in ${report.seconds} s, ${latencyText(latency)}`,
    `client CPU ${clientCpuUsPerOperation} us/operation, mismatches ${report.mismatches}, failures ${failures} (outcome unknown: ${unknown}), longest gap ${longestGapMs} ms`,
  ].join('\n');
}

function verdictLines(verdict: Verdict | undefined): string[] {
  if (verdict === undefined) return [];
  const { operations, registers, ambiguous, violations, undecided } = verdict;
  const seen = `${operations} operations on ${registers} counters, ${ambiguous} with unknown outcome`;
  if (verdict.ok) return [`history: linearizable (${seen})`];
  return [
    `history: NOT proved right (${seen})`,
    ...undecided.map((key) => `counter ${key}: undecided, the search was given up`),
    ...violations.flatMap(({ key, rule, reason, operations: around }) => [
      `counter ${key}: ${rule}: ${reason}`,
      ...around.map((operation) => `    ${operationText(operation)}`),
    ]),
  ];
}

async function save(file: string | undefined, history: History): Promise<void> {
  if (file === undefined) return;
  try {
    await writeFile(file, historyToJson(history));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`cannot write the history: ${why}`, EXIT.failed);
  }
}

function mix(text: string): Mix {
  const shares = { get: 0, exchange: 0, cas: 0 };
  for (const part of text.split(',')) {
    const match = /^(get|exchange|cas)(?:=(\d{1,6}))?$/.exec(part.trim());
    const kind = match?.[1];
    if (kind !== 'get' && kind !== 'exchange' && kind !== 'cas') {
      throw new InvalidArgumentError(
        'expected kinds of get, exchange, cas, such as get=90,cas=10.',
      );
    }
    shares[kind] = Number(match?.[2] ?? 1);
  }
  if (shares.get + shares.exchange + shares.cas > 0) return shares;
  throw new InvalidArgumentError('all shares are 0.');
}

import { Command, InvalidArgumentError, Option } from 'commander';
import { writeFile } from 'node:fs/promises';
import { wholeNumber } from '../../client/commands/arguments.ts';
import { runBench, type BenchOptions } from './bench.ts';
import { machineLine, requireRealDisk } from './machine.ts';
import { markdownOf } from './results.ts';

type Flags = Omit<BenchOptions, 'stop' | 'print' | 'firstPort'> & {
  readonly port: number;
  readonly json?: string;
  readonly markdown?: string;
};

const KINDS = ['cas', 'get', 'exchange'] as const;
const IN_FLIGHT_MAX = 100_000;

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

/** `--in-flight 1,64,256`. */
function numbers(text: string): readonly number[] {
  return text.split(',').map(wholeNumber(1, IN_FLIGHT_MAX));
}

/** `--operations cas,get`. */
function kinds(text: string): Flags['operations'] {
  return text.split(',').map((word) => {
    const kind = KINDS.find((one) => one === word);
    if (kind === undefined) throw new InvalidArgumentError(`expected ${KINDS.join(', ')}`);
    return kind;
  });
}

function commandLine(): Command {
  return new Command('npm run bench --')
    .description(
      'Measure real servers on this machine through the own client, each write synced to disk. Slots of all kinds take turns; medians are shown.',
    )
    .addOption(
      new Option('--in-flight <list>', 'operations under way at any time, each on its own counter')
        .argParser(numbers)
        .default([1, 64, 256], '1,64,256'),
    )
    .addOption(
      new Option('--operations <list>', KINDS.join(', '))
        .argParser(kinds)
        .default(['cas', 'get'], 'cas,get'),
    )
    .option('--servers <n>', 'servers of the group', wholeNumber(1, 7), 3)
    .option('--rounds <n>', 'slots of each kind', wholeNumber(1, 1_000), 5)
    .option('--slot-seconds <n>', 'measured time of a slot', wholeNumber(1, 3_600), 8)
    .option('--warm-up-seconds <n>', 'load before it that does not count', wholeNumber(0, 600), 2)
    .option('--port <n>', 'first port of the servers', wholeNumber(1, 65_000), 29_400)
    .option(
      '--no-sync',
      'do not sync the log: for comparison only, an acknowledged write may be lost',
    )
    .option('--json <file>', 'write the results there')
    .option('--markdown <file>', 'write the table there');
}

async function main(): Promise<void> {
  const { port, json, markdown, ...flags } = commandLine().parse().opts<Flags>();
  const folder = requireRealDisk();
  const machine = machineLine();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      stop.abort();
    });
  }
  print(`${machine}; data under ${folder}; ${String(flags.servers)} servers`);
  const results = await runBench({ ...flags, firstPort: port, stop: stop.signal, print });
  const table = markdownOf(results);
  print(`\n${table}`);
  if (json !== undefined)
    await writeFile(json, `${JSON.stringify({ machine, results }, undefined, 2)}\n`);
  if (markdown !== undefined) await writeFile(markdown, `${machine}\n\n${table}\n`);
  const failures = results.reduce((sum, result) => sum + result.failures, 0);
  if (stop.signal.aborted || failures > 0) process.exitCode = 1;
}

await main().catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

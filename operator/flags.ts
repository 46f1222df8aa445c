import { Command, InvalidArgumentError, Option } from 'commander';
import { imageName, type ImageName } from './resources/image.ts';

/** How the operator was started. */
export type OperatorOptions = {
  /** Empty: all namespaces. */
  readonly namespace: string;
  readonly image: ImageName;
  readonly leaderElect: boolean;
  readonly leaseNamespace: string;
  readonly leaseName: string;
  readonly healthPort: number;
  readonly workers: number;
  readonly maxConcurrentRolls: number;
  readonly logLevel: string;
  readonly logFormat: 'human' | 'json';
  /** The name of this pod. */
  readonly podName: string;
};

const WORKERS_MAX = 256;
const ROLLS_MAX = 10_000;

/** Reads the command line; prints help and ends the process where it asks for that. */
export function parseOperatorFlags(argv: readonly string[], version: string): OperatorOptions {
  const program = new Command('atomic-operator')
    .description('Runs AtomicClusters: creates, scales, rolls, heals them.')
    .version(version)
    .addOption(
      new Option('--namespace <name>', 'the one namespace to look after; empty: all')
        .env('WATCH_NAMESPACE')
        .default(''),
    )
    .requiredOption('--image <repository:tag>', 'image of the servers', imageOf)
    .option('--no-leader-elect', 'run without a Lease: only one process may run')
    .addOption(
      new Option('--lease-namespace <name>', 'namespace of the Lease')
        .env('POD_NAMESPACE')
        .default('default'),
    )
    .option('--lease-name <name>', 'name of the Lease', 'atomicraft-operator')
    .option('--health-port <port>', '/healthz, /readyz, /metrics', wholeNumber(0, 65_535), 8081)
    .option('--workers <n>', 'clusters looked at at once', wholeNumber(1, WORKERS_MAX), 16)
    .option(
      '--max-concurrent-rolls <n>',
      'clusters rolled at once only because this operator makes other pods than the one before',
      wholeNumber(1, ROLLS_MAX),
      1,
    )
    .addOption(
      new Option('--log-level <level>', 'least severe level that is logged')
        .choices(['error', 'warn', 'info', 'debug'])
        .default('info'),
    )
    .addOption(
      new Option('--log-format <format>', 'lines for people, or JSON')
        .choices(['human', 'json'])
        .default('json'),
    )
    .addOption(new Option('--pod-name <name>').env('POD_NAME').default('operator').hideHelp());
  program.parse([...argv], { from: 'user' });
  return program.opts<OperatorOptions>();
}

function imageOf(text: string): ImageName {
  const image = imageName(text);
  // The colon of a registry's port comes before a slash.
  if (text.includes(':') && !image.tag.includes('/')) return image;
  throw new InvalidArgumentError('expected repository:tag, the tag is the default version.');
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      `expected a whole number from ${String(min)} to ${String(max)}.`,
    );
  };
}

import { InvalidArgumentError, Option, type Command } from 'commander';

/** Flags that need no value; gflags also writes them --flag=true and --noflag. */
const SWITCHES: ReadonlySet<string> = new Set([
  'json',
  'log-each-request',
  'exactly-once',
  'verify',
]);

/** Where `npm start` puts its servers. */
export const LOCAL_SERVERS = '127.0.0.1:8300,127.0.0.1:8301,127.0.0.1:8302';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/**
 * Brings flags into one form: `--new_peers`, `-new-peers=x` and `--noverify` become what the
 * commands declare. Everything else, negative numbers included, stays as it is.
 */
export function argumentsOf(argv: readonly string[]): string[] {
  return argv.flatMap((argument) => {
    const short = /^-([a-z])=(.*)$/s.exec(argument);
    if (short !== null) return [`-${short[1] ?? ''}`, short[2] ?? ''];
    const match = /^--?([a-z][a-z0-9_-]+)(=.*)?$/s.exec(argument);
    const name = match?.[1]?.replaceAll('_', '-');
    if (name === undefined) return [argument];
    return switchOf(name, match?.[2]?.slice(1)) ?? [`--${name}${match?.[2] ?? ''}`];
  });
}

/** The form of a switch: given or left out. Undefined if it is none. */
function switchOf(name: string, value: string | undefined): string[] | undefined {
  if (name.startsWith('no') && SWITCHES.has(name.slice(2))) return [];
  if (!SWITCHES.has(name)) return undefined;
  if (value === undefined || /^(true|1|yes|t|y)$/.test(value)) return [`--${name}`];
  if (/^(false|0|no|f|n)$/.test(value)) return [];
  throw new InvalidArgumentError(`--${name}: expected true or false, got "${value}"`);
}

/** A 64-bit integer, as commander's argument parser. */
export function int64(text: string): bigint {
  if (!/^[+-]?\d{1,30}$/.test(text)) {
    throw new InvalidArgumentError('expected a whole number.');
  }
  const value = BigInt(text.replace(/^\+/, ''));
  if (value < INT64_MIN || value > INT64_MAX) {
    throw new InvalidArgumentError(`it is outside int64 (${INT64_MIN} to ${INT64_MAX}).`);
  }
  return value;
}

/** A parser of whole numbers from `min` to `max`. */
export function wholeNumber(min: number, max = 2 ** 31 - 1): (text: string) => number {
  return (text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
  };
}

/** A parser of seconds, fractions allowed; 0 means without end. */
export function seconds(text: string): number {
  const value = /^\d{1,9}(\.\d{1,3})?$/.test(text) ? Number(text) : NaN;
  if (value >= 0 && value < 2_000_000) return value;
  throw new InvalidArgumentError('expected seconds from 0 to 2000000.');
}

/** The flags of every command that talks to a group of servers. */
export type GroupFlags = {
  readonly conf: string;
  readonly group: string;
  readonly timeoutMs: number;
  readonly json?: boolean;
};

/** Declares `--auth-secret-file`, for what administers the group. */
export function withSecretFlag(command: Command): Command {
  const secret = new Option(
    '--auth-secret-file <file>',
    'file with the secret of the cluster, if its servers ask for one',
  );
  return command.addOption(secret.env('ATOMIC_AUTH_SECRET_FILE').default('', 'none'));
}

/** `--conf`, which inside a pod the environment knows. */
export function confOption(description: string): Option {
  return new Option('--conf <peers>', description).env('ATOMIC_CONF');
}

/** Declares `--conf`, `--group`, `--timeout-ms` and `--json`. */
export function withGroupFlags(command: Command, timeoutMs: number): Command {
  return command
    .addOption(confOption('servers of the group, comma separated').default(LOCAL_SERVERS))
    .option('--group <name>', 'name of the group', 'Atomic')
    .option('--timeout-ms <ms>', 'how long an operation may take', wholeNumber(1), timeoutMs)
    .option('--json', 'print JSON');
}

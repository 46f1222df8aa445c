import { Command, CommanderError, Option } from 'commander';
import { z } from 'zod';
import type { FlagMeta } from './flag-kinds.ts';

/** Wrong flags or a wrong config file; every line of the message is one sentence for people. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A program as its command line and --help know it. */
export type Program<Shape extends z.ZodRawShape> = {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  readonly schema: z.ZodObject<Shape>;
  /** Printed under the flags. */
  readonly epilogue: string;
};

/** Flag values by camelCase name, as written; a flag that was not given is absent. */
export type GivenFlags = Readonly<Record<string, string | readonly string[]>>;

export type ReadCommandLine =
  | { readonly type: 'flags'; readonly given: GivenFlags }
  /** --help or --version: `text` goes to the standard output, and that is all. */
  | { readonly type: 'print'; readonly text: string };

/**
 * Reads a command line in the forms gflags knows: `-flag=value`, `--flag value`, `--flag`,
 * `--noflag`; hyphens and underscores mean the same.
 *
 * @throws UsageError for an unknown flag, a flag without its value, or an argument that is no flag.
 */
export function readCommandLine<Shape extends z.ZodRawShape>(
  program: Program<Shape>,
  argv: readonly string[],
): ReadCommandLine {
  let printed = '';
  const command = commandOf(program).configureOutput({
    writeOut: (text) => {
      printed += text;
    },
    writeErr: () => undefined,
  });
  try {
    command.parse(normalised(program.schema, argv), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { type: 'print', text: printed };
    throw new UsageError(explained(error));
  }
  const given: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(command.opts<GivenFlags>()))
    given[camelCase(name)] = value;
  return { type: 'flags', given };
}

/**
 * Checks flag values against the schema and fills in defaults.
 *
 * @throws UsageError with one line for each wrong value; `where` says where a value came from.
 */
export function validateFlags<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape>,
  given: GivenFlags,
  where: (name: string) => string,
): z.output<z.ZodObject<Shape>> {
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    const name = String(issue.path[0] ?? '');
    return `${where(name)}: ${issue.message}; see --help`;
  });
  throw new UsageError(lines.join('\n'));
}

/** What `name` is for people. */
export function flagMeta(schema: z.ZodObject, name: string): FlagMeta | undefined {
  const flag: unknown = Object.hasOwn(schema.shape, name) ? schema.shape[name] : undefined;
  return flag instanceof z.ZodType ? (flag.meta() as FlagMeta | undefined) : undefined;
}

/** `electionTimeoutMs` to `election_timeout_ms`. */
export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `election_timeout_ms` or `election-timeout-ms` to `electionTimeoutMs`. */
export function camelCase(name: string): string {
  return name.replaceAll(/[-_]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function commandOf<Shape extends z.ZodRawShape>(program: Program<Shape>): Command {
  const command = new Command(program.name)
    .description(program.description)
    .usage('[--flag=value ...]')
    .exitOverride()
    .allowExcessArguments(false)
    .configureHelp({ helpWidth: 100, showGlobalOptions: false })
    .addHelpText('after', `\n${program.epilogue}`);
  for (const name of Object.keys(program.schema.shape)) {
    const meta = flagMeta(program.schema, name);
    if (meta !== undefined) command.addOption(optionOf(name, meta));
  }
  return command
    .optionsGroup('Other:')
    .helpOption('-h, --help', 'Print this and exit.')
    .version(program.version, '-V, --version', 'Print the version and exit.');
}

function optionOf(name: string, meta: FlagMeta): Option {
  const shown = meta.shownDefault === '' ? '' : ` (default: ${meta.shownDefault})`;
  const option = new Option(`--${snakeCase(name)} <${meta.placeholder}>`, meta.help + shown);
  option.helpGroup(`${meta.section}:`);
  if (meta.kind === 'list') {
    option.argParser((value: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      value,
    ]);
  }
  return option;
}

/** Turns every form of a flag into `--flag_name=value`, or `--flag_name` before its value. */
function normalised(schema: z.ZodObject, argv: readonly string[]): string[] {
  return argv.map((argument) => {
    const match = /^--?([A-Za-z][A-Za-z0-9_-]*)(=[\s\S]*)?$/.exec(argument);
    const [, written, value] = match ?? [];
    if (written === undefined) return argument;
    const name = camelCase(written);
    const meta = flagMeta(schema, name);
    if (meta !== undefined) {
      // As in gflags, a boolean never takes the next argument as its value.
      const given = value ?? (meta.kind === 'boolean' ? '=true' : '');
      return `--${snakeCase(name)}${given}`;
    }
    const negated = camelCase(written.replace(/^no[-_]?/, ''));
    if (value === undefined && flagMeta(schema, negated)?.kind === 'boolean') {
      return `--${snakeCase(negated)}=false`;
    }
    return argument;
  });
}

function explained(error: CommanderError): string {
  const text = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  switch (error.code) {
    case 'commander.unknownOption':
      return `${text.replace('unknown option', 'unknown flag')}; see --help`;
    case 'commander.excessArguments':
      return `arguments must be flags such as --port=8100; see --help (${text})`;
    case 'commander.optionMissingArgument':
      return `${text.replace(/^option '(\S+) .*$/, '$1')}: needs a value, as in --flag=value; see --help`;
    default:
      return `${text}; see --help`;
  }
}

import { z } from 'zod';
import {
  readCommandLine,
  snakeCase,
  UsageError,
  validateFlags,
} from '../../server/config/command-line.ts';
import { boolean, integer, text } from '../../server/config/flag-kinds.ts';

const servers = 'Servers';
const client = 'Counting client';

const schema = z.object({
  serverNum: integer(
    { min: 1, max: 9, fallback: 3 },
    { section: servers, help: 'How many servers to run.' },
  ),
  port: integer(
    { min: 1, max: 65_000, fallback: 8300 },
    {
      section: servers,
      help: 'gRPC port of the first server; the next ones follow. Their status pages are 100 higher.',
    },
  ),
  clean: boolean(false, { section: servers, help: 'Delete the data of earlier runs first.' }),
  maxSegmentSize: integer(
    { min: 4096, max: 1 << 30, fallback: 8_388_608 },
    { section: servers, help: 'Bytes of one log segment file.' },
  ),
  sync: boolean(true, {
    section: servers,
    help: 'Wait for the disk before acknowledging a write.',
  }),
  runtimeDir: text(
    { fallback: 'runtime', placeholder: 'folder' },
    { section: servers, help: 'Where the servers keep data and logs.' },
  ),
  client: boolean(true, { section: client, help: 'Run the counting client.' }),
  threadNum: integer(
    { min: 1, max: 10_000, fallback: 1 },
    { section: client, help: 'How many ids are counted at once.' },
  ),
  logEachRequest: boolean(false, { section: client, help: 'Print each answer, one a second.' }),
  exactlyOnce: boolean(false, {
    section: client,
    help: 'Count in a registered session, where a repeat is never executed twice.',
  }),
});

/** The flags of `npm start`. */
export type StartFlags = z.output<typeof schema>;

/** Reads the command line of `npm start`. @throws UsageError. */
export function parseStartFlags(
  argv: readonly string[],
  version: string,
):
  | { readonly type: 'run'; readonly flags: StartFlags }
  | { readonly type: 'print'; readonly text: string } {
  const program = {
    name: 'npm start --',
    description: 'Runs a group of servers and a client that counts, on this machine, until Ctrl-C.',
    version,
    schema,
    epilogue: 'npm run stop ends what was started here from another terminal.',
  };
  const commandLine = readCommandLine(program, argv);
  if (commandLine.type === 'print') return commandLine;
  const flags = validateFlags(schema, commandLine.given, (name) => `--${snakeCase(name)}`);
  if (flags.port + flags.serverNum > 65_400) {
    throw new UsageError('--port: too high for the ports of all servers; give a lower one');
  }
  return { type: 'run', flags };
}

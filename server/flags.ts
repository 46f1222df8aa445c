import { isIPv6 } from 'node:net';
import { resolve } from 'node:path';
import {
  readCommandLine,
  snakeCase,
  UsageError,
  validateFlags,
  type GivenFlags,
} from './config/command-line.ts';
import { readConfigFile } from './config/config-file.ts';
import { serverFlagsSchema, type RawServerFlags } from './config/server-flags.ts';
import { parsePeerId, parsePeers, peerFields, type PeerId } from './raft/index.ts';

/** The server's flags, valid by themselves and together. Past this nothing is parsed again. */
export type ServerOptions = Omit<
  RawServerFlags,
  'peer' | 'conf' | 'group' | 'httpPort' | 'config' | 'listenAddress' | 'dataPath'
> & {
  readonly listenAddress: string;
  readonly peer: PeerId;
  /** Empty: none given. */
  readonly conf: ReadonlySet<PeerId>;
  /** At least one; the first one serves callers that name no group. */
  readonly groups: readonly [ServerGroup, ...ServerGroup[]];
  /** 0: no HTTP. */
  readonly httpPort: number;
};

/** One Raft group of this server and where it keeps its data. */
export type ServerGroup = { readonly name: string; readonly dataPath: string };

export type ServerCommandLine =
  | { readonly type: 'run'; readonly options: ServerOptions }
  | { readonly type: 'print'; readonly text: string };

const HTTP_PORT_OFFSET = 100;

const EPILOGUE = `Flags may be written -flag=value, --flag value or --flag; booleans also --noflag; "-" and "_" in names
mean the same. A YAML file given by --config holds the same names.

Exit codes: 0 stopped on request; 1 failed while running; 64 wrong flags, config or secret file;
69 a port cannot be listened on; 74 the data directory cannot be read or written, or is damaged;
78 the data directory is in use, or belongs to another group, peer or cluster.`;

/**
 * Reads the server's command line and config file.
 *
 * @throws UsageError with one sentence a line.
 */
export function parseServerFlags(argv: readonly string[], version: string): ServerCommandLine {
  const program = {
    name: 'atomic-server',
    description: 'One server of a replicated map of counters: a member of one or more Raft groups.',
    version,
    schema: serverFlagsSchema,
    epilogue: EPILOGUE,
  };
  const commandLine = readCommandLine(program, argv);
  if (commandLine.type === 'print') return commandLine;
  const { given } = commandLine;
  const path = given['config'];
  const fromFile: GivenFlags =
    typeof path === 'string' && path !== '' ? readConfigFile(serverFlagsSchema, path) : {};
  const where = (name: string) =>
    given[name] === undefined && fromFile[name] !== undefined
      ? `${String(path)}: ${snakeCase(name)}`
      : `--${snakeCase(name)}`;
  const flags = validateFlags(serverFlagsSchema, { ...fromFile, ...given }, where);
  return { type: 'run', options: combined(flags) };
}

function combined(flags: RawServerFlags): ServerOptions {
  const peer = peerOf(flags);
  const httpPort = httpPortOf(flags);
  checkHealthPort(flags, httpPort);
  return {
    ...flags,
    peer,
    conf: confOf(flags, peer),
    groups: groupsOf(flags.group, flags.dataPath),
    httpPort,
    listenAddress: listenAddressOf(flags.listenAddress, peer),
  };
}

function peerOf(flags: RawServerFlags): PeerId {
  const text = flags.peer === '' ? `127.0.0.1:${String(flags.port)}:0` : flags.peer;
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw new UsageError(`--peer: ${parsed.reason}`);
  const fields = peerFields(parsed.peer);
  if (fields.role === 'witness') {
    throw new UsageError('--peer: witnesses (role 1) are not supported; use role 0');
  }
  if (fields.port === 0) throw new UsageError('--peer: the port must not be 0');
  if (fields.host === '0.0.0.0' || fields.host === '::') {
    throw new UsageError(
      `--peer: ${fields.host} is no address others can reach; give this server's own address or name`,
    );
  }
  return parsed.peer;
}

function confOf(flags: RawServerFlags, peer: PeerId): ReadonlySet<PeerId> {
  const parsed = parsePeers(flags.conf);
  if (!parsed.ok) throw new UsageError(`--conf: ${parsed.reason}`);
  const { peers } = parsed;
  const witness = [...peers].find((member) => peerFields(member).role === 'witness');
  if (witness !== undefined) {
    throw new UsageError(`--conf: ${witness} is a witness (role 1); witnesses are not supported`);
  }
  if (flags.initialState === 'new' && peers.size === 0) {
    throw new UsageError(
      '--initial_state=new: a new group needs its voters; give them with --conf',
    );
  }
  if (flags.initialState === 'new' && !peers.has(peer)) {
    throw new UsageError(
      `--conf: does not contain this server's peer id ${peer}; correct --conf, or --peer and --port`,
    );
  }
  return peers;
}

function groupsOf(names: readonly string[], dataPath: string): [ServerGroup, ...ServerGroup[]] {
  const base = resolve(dataPath);
  const [first, ...others] = names;
  if (first === undefined) throw new UsageError('--group: expected at least one group name');
  // One group keeps braft's layout, with log, raft_meta and snapshot right in the data path.
  if (others.length === 0) return [{ name: first, dataPath: base }];
  const group = (name: string) => ({ name, dataPath: resolve(base, name) });
  return [group(first), ...others.map(group)];
}

function httpPortOf(flags: RawServerFlags): number {
  const port = flags.httpPort === 'auto' ? flags.port + HTTP_PORT_OFFSET : Number(flags.httpPort);
  if (port > 65_535) {
    throw new UsageError(
      `--http_port: --port + ${String(HTTP_PORT_OFFSET)} is above 65535; give a port, or 0 for none`,
    );
  }
  if (port === flags.port) {
    throw new UsageError('--http_port: must differ from --port; give another one, or 0 for none');
  }
  return port;
}

function checkHealthPort({ healthPort, port }: RawServerFlags, httpPort: number): void {
  if (healthPort === 0 || (healthPort !== port && healthPort !== httpPort)) return;
  const other = healthPort === port ? '--port' : '--http_port';
  throw new UsageError(`--health_port: must differ from ${other}; give another one, or 0 for none`);
}

function listenAddressOf(given: string, peer: PeerId): string {
  if (given !== '') return given.replace(/^\[(.*)\]$/, '$1');
  const { host } = peerFields(peer);
  if (host === 'localhost' || host.startsWith('127.')) return '127.0.0.1';
  if (host === '::1') return '::1';
  return isIPv6(host) ? '::' : '0.0.0.0';
}

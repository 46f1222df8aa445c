import { z } from 'zod';
import { parsePeerId, parsePeers } from '../raft/index.ts';
import { boolean, choice, integer, list, text } from './flag-kinds.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
const DAY_MS = 86_400_000;

const addressing = 'Addresses and members';
const storage = 'Data and log';
const timing = 'Timing';
const service = 'Counter service';
const limits = 'Limits';
const observing = 'Logs and monitoring';
const processes = 'Process';

const ADDRESSING_FLAGS = {
  port: integer(
    { min: 1, max: 65_535, fallback: 8100 },
    { section: addressing, help: 'Port of the gRPC services: counters, peers, administration.' },
  ),
  listenAddress: text(
    {
      fallback: '',
      placeholder: 'address',
      shownDefault: '127.0.0.1 if --peer is on the loopback interface, otherwise all interfaces',
      check: checkListenAddress,
    },
    { section: addressing, help: 'IP address or host name to listen on; 0.0.0.0 or :: for all.' },
  ),
  peer: text(
    {
      fallback: '',
      placeholder: 'host:port[:index]',
      shownDefault: '127.0.0.1:<port>:0',
      check: checkPeer,
    },
    {
      section: addressing,
      help: 'Peer id of this server, as it stands in --conf: where the others reach it. The host may be a name.',
    },
  ),
  conf: text(
    { fallback: '', placeholder: 'peer,peer,...', check: checkConf },
    {
      section: addressing,
      help: 'Voters of a group that starts for the first time. Ignored once the data directory knows its members.',
    },
  ),
  initialState: choice(['existing', 'new'], 'existing', {
    section: addressing,
    help: 'What an empty data directory means. new: the group starts now, with --conf. existing: this server waits, without a vote, until a leader adds it or it is bootstrapped.',
  }),
  group: list(
    { fallback: ['Atomic'], placeholder: 'name', check: checkGroups },
    {
      section: addressing,
      help: 'Raft group. Repeat it for several groups in one process; each then has its own folder in --data_path.',
    },
  ),
  clusterId: text(
    { fallback: '', placeholder: 'text', check: checkClusterId },
    {
      section: addressing,
      help: 'Name of the cluster; messages and data directories of another one are refused. Empty: not checked.',
    },
  ),
  authSecretFile: text(
    { fallback: '', placeholder: 'file' },
    {
      section: addressing,
      help: 'File with the secret that peers and administrators must share, 16 to 1024 characters; two lines while it is exchanged: the first is sent, both are accepted. Read again when it changes. Empty: none is asked for.',
    },
  ),
  config: text(
    { fallback: '', placeholder: 'file' },
    { section: addressing, help: 'YAML file with values for these flags; the command line wins.' },
  ),
};

const STORAGE_FLAGS = {
  dataPath: text(
    {
      fallback: './data',
      placeholder: 'folder',
      check: (value) => (value === '' ? 'expected a folder, got nothing' : undefined),
    },
    { section: storage, help: 'Where log, raft_meta and snapshot are kept.' },
  ),
  raftMaxSegmentSize: integer(
    { min: 4096, max: GIB, fallback: 8 * MIB },
    { section: storage, help: 'Bytes of one log segment file.' },
  ),
  raftSync: boolean(true, {
    section: storage,
    help: 'Wait for the disk before acknowledging. false loses acknowledged writes when machines crash.',
  }),
  snapshotInterval: integer(
    { min: 0, max: 1_000_000, fallback: 30 },
    { section: storage, help: 'Seconds between snapshots, if anything changed; 0: none by time.' },
  ),
  snapshotLogBytes: integer(
    { min: 0, max: 1024 * GIB, fallback: 64 * MIB },
    {
      section: storage,
      help: 'Take a snapshot when the log has grown by this many bytes; 0: never.',
    },
  ),
};

const TIMING_FLAGS = {
  electionTimeoutMs: integer(
    { min: 20, max: 3_600_000, fallback: 5000 },
    {
      section: timing,
      help: 'Without a leader for this long (up to half as much more, at random) a server campaigns.',
    },
  ),
  catchUpTimeoutMs: integer(
    { min: 0, max: DAY_MS, fallback: 0 },
    {
      section: timing,
      help: 'How long adding a member waits without any answer from it; 0: the election timeout.',
    },
  ),
  raftEnableLeaderLease: boolean(false, {
    section: timing,
    help: 'Allow reads under the leader lease. Needs clocks that drift less than --max_clock_drift_ms per lease; unsafe if machines are suspended.',
  }),
  maxClockDriftMs: integer(
    { min: 0, max: DAY_MS, fallback: 1000 },
    { section: timing, help: 'How far two clocks may drift apart within one lease.' },
  ),
};

const SERVICE_FLAGS = {
  disableCli: boolean(false, {
    section: service,
    help: 'Refuse administration calls that change something (members, leader, snapshots).',
  }),
  checkTerm: boolean(true, {
    section: service,
    help: 'Propose with the term of this leadership, so that nothing crosses a change of leader.',
  }),
  logAppliedTask: boolean(false, { section: service, help: 'Log every applied operation.' }),
  allowAbsentKey: boolean(false, {
    section: service,
    help: 'Accepted and without effect, as in braft: a compare-exchange on an absent id sees 0.',
  }),
  mapCapacity: integer(
    { min: 1, max: 1 << 27, fallback: 1024 },
    { section: service, help: 'Counters to make room for at start; the map grows as needed.' },
  ),
};

const LIMIT_FLAGS = {
  mapEntriesMax: integer(
    { min: 1, max: 1 << 27, fallback: 16_777_216 },
    { section: limits, help: 'Counters the map may hold; more are refused before proposing.' },
  ),
  messageBytesMax: integer(
    { min: 65_536, max: 256 * MIB, fallback: 4 * MIB },
    { section: limits, help: 'Bytes of operations in one message from a client.' },
  ),
  streamsMax: integer(
    { min: 1, max: 1_000_000, fallback: 1000 },
    { section: limits, help: 'Calls and streams open at once on one connection.' },
  ),
  pendingTasksMax: integer(
    { min: 1, max: 10_000_000, fallback: 100_000 },
    { section: limits, help: 'Proposals not yet applied; more are refused as busy.' },
  ),
  pendingBytesMax: integer(
    { min: 65_536, max: 4 * GIB, fallback: 64 * MIB },
    { section: limits, help: 'Bytes of proposals not yet applied; more are refused as busy.' },
  ),
  raftMaxBodySize: integer(
    { min: 4096, max: 64 * MIB, fallback: 512 * 1024 },
    { section: limits, help: 'Bytes of entries in one message to a peer.' },
  ),
  inFlightEntriesMax: integer(
    { min: 1, max: 1_000_000, fallback: 4096 },
    { section: limits, help: 'Entries sent to one peer and not yet acknowledged.' },
  ),
  inFlightBytesMax: integer(
    { min: 4096, max: 4 * GIB, fallback: 8 * MIB },
    { section: limits, help: 'Bytes sent to one peer and not yet acknowledged.' },
  ),
};

const OBSERVING_FLAGS = {
  httpPort: text(
    {
      fallback: 'auto',
      placeholder: 'number',
      shownDefault: '<port> + 100',
      check: checkHttpPort,
    },
    {
      section: observing,
      help: 'Port of the status page, /healthz, /readyz, /metrics and /raft_stat; 0: none.',
    },
  ),
  healthPort: integer(
    { min: 0, max: 65_535, fallback: 0 },
    {
      section: observing,
      help: 'Port of grpc.health.v1 for a supervisor, open before any data is read: services startup, liveness, readiness; 0: none.',
    },
  ),
  reflection: boolean(false, { section: observing, help: 'Serve gRPC reflection.' }),
  logLevel: choice(['info', 'error', 'warn', 'debug'], 'info', {
    section: observing,
    help: 'The least severe level that is logged.',
  }),
  logFormat: choice(['auto', 'human', 'json'], 'auto', {
    section: observing,
    help: 'auto: for people on a terminal, JSON lines otherwise.',
  }),
};

const PROCESS_FLAGS = {
  pidFile: text(
    { fallback: '', placeholder: 'file' },
    { section: processes, help: 'Where to write the process id; removed at the end.' },
  ),
  stopWithParent: boolean(false, {
    section: processes,
    help: 'Stop as for SIGTERM when the process that started this one is gone.',
  }),
  shutdownTimeoutMs: integer(
    { min: 100, max: 600_000, fallback: 8000 },
    {
      section: processes,
      help: 'On SIGTERM or SIGINT: how long to wait for calls under way before giving them up.',
    },
  ),
};

/** Every flag of the server; a key in camelCase is the flag of the same name in snake_case. */
export const serverFlagsSchema = z.object({
  ...ADDRESSING_FLAGS,
  ...TIMING_FLAGS,
  ...STORAGE_FLAGS,
  ...SERVICE_FLAGS,
  ...LIMIT_FLAGS,
  ...OBSERVING_FLAGS,
  ...PROCESS_FLAGS,
});

/** The flags as given or defaulted, each one valid by itself. */
export type RawServerFlags = z.output<typeof serverFlagsSchema>;

function checkListenAddress(value: string): string | undefined {
  if (value === '' || /^[0-9A-Za-z._-]+$/.test(value) || /^\[?[0-9A-Fa-f:.]+\]?$/.test(value)) {
    return undefined;
  }
  return `expected an IP address or a host name, got "${value.slice(0, 80)}"`;
}

function checkPeer(value: string): string | undefined {
  if (value === '') return undefined;
  const parsed = parsePeerId(value);
  return parsed.ok ? undefined : parsed.reason;
}

function checkConf(value: string): string | undefined {
  const parsed = parsePeers(value);
  return parsed.ok ? undefined : parsed.reason;
}

function checkGroups(values: readonly string[]): string | undefined {
  if (values.length === 0) return 'expected at least one group name';
  // Group names become folder names and parts of metric labels and paths.
  const bad = values.find((value) => !/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/.test(value));
  if (bad !== undefined) {
    return `group "${bad.slice(0, 80)}" must be 1 to 100 letters, digits, "_", "-" or ".", and not start with "-" or "."`;
  }
  return new Set(values).size === values.length ? undefined : 'the same group is named twice';
}

function checkClusterId(value: string): string | undefined {
  return value.length <= 200 ? undefined : 'must not be longer than 200 characters';
}

function checkHttpPort(value: string): string | undefined {
  if (value === 'auto') return undefined;
  if (/^\d{1,5}$/.test(value) && Number(value) <= 65_535) return undefined;
  return `expected a whole number from 0 to 65535, got "${value.slice(0, 80)}"`;
}

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { NodeState, NodeStatus } from '../raft/index.ts';

/** What one group on this server reports. */
export type GroupMeasurements = {
  readonly group: string;
  readonly status: NodeStatus;
  readonly appliedOperations: number;
  readonly counters: number;
};

const STATES: readonly NodeState[] = [
  ...(['leader', 'transferring', 'candidate', 'follower'] as const),
  ...(['error', 'uninitialized', 'shutting', 'shutdown'] as const),
];

/** Write latencies lie between a tenth of a millisecond and some seconds. */
const LATENCY_BUCKETS_SECONDS = [
  ...[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05],
  ...[0.1, 0.2, 0.5, 1, 2, 5],
];

/** The numbers that are read off a node's status at each scrape: name, help, value. */
const STATUS_GAUGES: readonly (readonly [string, string, (status: NodeStatus) => number])[] = [
  ['raft_term', 'Current term.', (status) => status.term],
  ['raft_is_leader', '1 on the leader.', (status) => Number(status.state === 'leader')],
  ['raft_has_leader', '1 when a leader is known.', (status) => Number(status.leader !== undefined)],
  ['raft_joined', '0 while waiting to be added.', (status) => Number(status.identity.joined)],
  ['raft_readonly', '1 in read-only mode.', (status) => Number(status.readonly)],
  ['raft_committed_index', 'Last committed index known.', (status) => status.committedIndex],
  ['raft_applied_index', 'Last applied index.', (status) => status.knownAppliedIndex],
  ['raft_first_index', 'First index in the log.', (status) => status.firstIndex],
  ['raft_last_index', 'Last index in the log.', (status) => status.lastIndex],
  ['raft_disk_index', 'Last index on disk.', (status) => status.diskIndex],
  ['raft_snapshot_index', 'Last index in the snapshot.', (status) => status.snapshotIndex],
  [
    'raft_num_log_entries',
    'Entries in the log.',
    (status) => status.lastIndex - status.firstIndex + 1,
  ],
  ['raft_pending_tasks', 'Tasks proposed and not applied.', (status) => status.pendingTasks],
  [
    'raft_configuration_index',
    'Index of the configuration in force.',
    (status) => status.configuration.index,
  ],
  ['raft_voters', 'Voters.', (status) => status.configuration.configuration.voters.size],
  ['raft_learners', 'Learners.', (status) => status.configuration.configuration.learners.size],
  ['raft_format_version', 'Active format version.', (status) => status.configuration.formatVersion],
];

/** What a leader says of each peer. */
const PEER_GAUGES = [
  ['raft_peer_match_index', 'Last index known to be on the peer.'],
  ['raft_peer_lag_entries', 'Entries the peer lacks.'],
  ['raft_peer_last_contact_seconds', 'Time since the peer last answered.'],
  ['raft_peer_in_flight_entries', 'Entries sent and not acknowledged.'],
  ['raft_peer_installing_snapshot', '1 while the peer receives a snapshot.'],
] as const;

type Latencies = {
  readonly recordWrite: (group: string, durationMs: number) => void;
  readonly recordRead: (group: string, durationMs: number) => void;
};

/** The metrics of this process: Node's own (event loop, memory, gc), raft_* and atomic_*. */
export type ServerMetrics = Latencies & {
  readonly text: () => Promise<{ readonly contentType: string; readonly body: string }>;
};

/** `measure` is asked at each scrape. */
export function createServerMetrics(
  version: string,
  measure: () => readonly GroupMeasurements[],
): ServerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'atomicraft_info',
    help: 'Always 1.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1);
  addStatusGauges(registry, measure);
  addPeerGauges(registry, measure);
  addCounts(registry, measure);
  const latencies = addLatencies(registry);
  return {
    ...latencies,
    text: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

function addStatusGauges(registry: Registry, measure: () => readonly GroupMeasurements[]): void {
  const registers = [registry];
  for (const [name, help, valueOf] of STATUS_GAUGES) {
    const labelNames = ['group'];
    const gauge: Gauge = new Gauge({
      ...{ name, help, labelNames, registers },
      collect: () => {
        for (const { group, status } of measure()) gauge.set({ group }, valueOf(status));
      },
    });
  }
  const state: Gauge = new Gauge({
    name: 'raft_state',
    help: '1 for the state the node is in.',
    labelNames: ['group', 'state'],
    registers,
    collect: () => {
      for (const { group, status } of measure()) {
        for (const each of STATES) state.set({ group, state: each }, Number(status.state === each));
      }
    },
  });
  const nodes: Gauge = new Gauge({
    name: 'raft_node_count',
    help: 'Nodes in this process.',
    registers,
    collect: () => {
      nodes.set(measure().length);
    },
  });
}

function addPeerGauges(registry: Registry, measure: () => readonly GroupMeasurements[]): void {
  const gauges = PEER_GAUGES.map(
    ([name, help]) =>
      new Gauge({ name, help, labelNames: ['group', 'peer'], registers: [registry] }),
  );
  const [match, lag, contact, inFlight, installing] = gauges;
  const collect: Gauge = new Gauge({
    name: 'raft_peers',
    help: 'Peers this node replicates to; 0 when it does not lead.',
    labelNames: ['group'],
    registers: [registry],
    collect: () => {
      // Peers come and go, and a former leader knows none.
      for (const gauge of gauges) gauge.reset();
      for (const { group, status } of measure()) {
        const peers = [...status.stableFollowers, ...status.unstableFollowers];
        collect.set({ group }, peers.length);
        for (const [peer, seen] of peers) {
          const labels = { group, peer };
          match?.set(labels, seen.matchIndex);
          lag?.set(labels, Math.max(0, status.lastIndex - seen.matchIndex));
          if (seen.lastContactMs !== undefined) contact?.set(labels, seen.lastContactMs / 1000);
          inFlight?.set(labels, seen.inFlightEntries);
          installing?.set(labels, Number(seen.installingSnapshot));
        }
      }
    },
  });
}

function addCounts(registry: Registry, measure: () => readonly GroupMeasurements[]): void {
  const registers = [registry];
  const refused: Counter = new Counter({
    name: 'raft_refused_messages_total',
    help: 'Messages of peers that were refused, by reason.',
    labelNames: ['group', 'reason'],
    registers,
    collect: () => {
      refused.reset();
      for (const { group, status } of measure()) {
        for (const [reason, count] of Object.entries(status.refusedMessages)) {
          refused.inc({ group, reason }, count);
        }
      }
    },
  });
  const applied: Counter = new Counter({
    name: 'atomic_applied_operations_total',
    help: 'Operations applied.',
    labelNames: ['group'],
    registers,
    collect: () => {
      applied.reset();
      for (const each of measure()) applied.inc({ group: each.group }, each.appliedOperations);
    },
  });
  const counters: Gauge = new Gauge({
    name: 'atomic_counters',
    help: 'Counters in the map.',
    labelNames: ['group'],
    registers,
    collect: () => {
      for (const each of measure()) counters.set({ group: each.group }, each.counters);
    },
  });
}

function addLatencies(registry: Registry): Latencies {
  const histogram = (name: string, help: string) =>
    new Histogram({
      ...{ name, help, labelNames: ['group'], registers: [registry] },
      buckets: LATENCY_BUCKETS_SECONDS,
    });
  const writes = histogram(
    'atomic_write_latency_seconds',
    'From proposing a batch of writes to having applied it, on the leader.',
  );
  const reads = histogram('atomic_read_latency_seconds', 'Confirming a batch of reads.');
  return {
    recordWrite: (group, durationMs) => {
      writes.observe({ group }, durationMs / 1000);
    },
    recordRead: (group, durationMs) => {
      reads.observe({ group }, durationMs / 1000);
    },
  };
}

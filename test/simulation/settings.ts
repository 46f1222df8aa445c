import { SimulationRandom } from './random.ts';

/** What can go wrong in a group of fixed members; each seed draws a subset (swarm testing). */
const STEADY_KINDS = [
  'kill',
  'powerLoss',
  'pause',
  'partition',
  'oneWayCut',
  'reset',
  'loss',
  'duplicates',
  'reordering',
  'latency',
  'slowDisk',
  'syncError',
  'diskFull',
  'transfer',
  'snapshot',
  'readonly',
] as const;

/** What changes or replaces members. */
const MEMBER_KINDS = ['membership', 'diskLoss', 'damage'] as const;

export const FAULT_KINDS = [...STEADY_KINDS, ...MEMBER_KINDS] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** How one simulated group is built and what it goes through. */
export type Settings = {
  readonly seed: number;
  /** Voters at the start. */
  readonly servers: number;
  /** Servers that run and wait to be added. */
  readonly spares: number;
  readonly clients: number;
  /** Mean time between two operations of one client. */
  readonly thinkMs: number;
  readonly registers: number;
  readonly faultKinds: ReadonlySet<FaultKind>;
  /** Mean time between two faults. */
  readonly faultIntervalMs: number;
  readonly electionTimeoutMs: number;
  readonly clockDriftMaxMs: number;
  readonly leaderLease: boolean;
  /** Clocks run too fast or slow by up to this share. */
  readonly clockRateError: number;
  readonly segmentBytesMax: number;
  readonly snapshotLogBytes: number;
  readonly snapshotIntervalMs: number;
  readonly appendBytesMax: number;
  readonly inFlightEntriesMax: number;
  readonly latencyMs: number;
  readonly syncMs: number;
  /** Damaged log records have checksums that fit, as if nobody checked them. */
  readonly forgedChecksums: boolean;
};

const SERVER_COUNTS = [1, 3, 3, 3, 3, 3, 5, 5] as const;
const SEGMENT_BYTES = [1_024, 4_096, 16_384, 262_144] as const;
const SNAPSHOT_LOG_BYTES = [400, 2_000, 20_000] as const;
const APPEND_BYTES = [64, 1_024, 65_536] as const;

/** The settings of a seed. Each kind of fault is on in half of the seeds. */
export function drawSettings(seed: number): Settings {
  const steady = drawSteadySettings(seed);
  const random = new SimulationRandom(seed, 'members');
  const kinds = MEMBER_KINDS.filter(() => random.chance(0.5));
  const faultKinds = new Set([...steady.faultKinds, ...kinds]);
  const spares = kinds.includes('membership') ? random.integer(1, 3) : 0;
  return { ...steady, faultKinds, spares };
}

/** Those of a group whose members stay the same. */
export function drawSteadySettings(seed: number): Settings {
  const random = new SimulationRandom(seed, 'settings');
  const clients = random.integer(3, 10);
  const leaderLease = random.chance(0.5);
  const electionTimeoutMs = 1000;
  return {
    seed,
    servers: random.pick(SERVER_COUNTS) ?? 3,
    spares: 0,
    forgedChecksums: false,
    clients,
    thinkMs: (clients * 1000) / random.integer(20, 40),
    registers: random.integer(1, 5),
    faultKinds: drawKinds(random),
    faultIntervalMs: random.between(1_500, 5_000),
    electionTimeoutMs,
    clockDriftMaxMs: leaderLease ? 200 : 0,
    leaderLease,
    clockRateError: random.chance(0.5) ? 0.05 : 0,
    segmentBytesMax: random.pick(SEGMENT_BYTES) ?? 262_144,
    snapshotLogBytes: random.chance(0.5) ? (random.pick(SNAPSHOT_LOG_BYTES) ?? 2_000) : 0,
    snapshotIntervalMs: random.chance(0.3) ? random.integer(500, 10_000) : 0,
    appendBytesMax: random.chance(0.5) ? (random.pick(APPEND_BYTES) ?? 1_024) : 524_288,
    inFlightEntriesMax: random.chance(0.5) ? random.integer(1, 16) : 4_096,
    latencyMs: random.between(0.2, 5),
    syncMs: random.between(0.1, 3),
  };
}

/** Faults after which another leader has to be found. */
const DEPOSING: readonly FaultKind[] = ['kill', 'powerLoss', 'pause', 'partition', 'transfer'];

function drawKinds(random: SimulationRandom): ReadonlySet<FaultKind> {
  const kinds = new Set<FaultKind>(STEADY_KINDS.filter(() => random.chance(0.5)));
  if (!DEPOSING.some((kind) => kinds.has(kind))) kinds.add(random.pick(DEPOSING) ?? 'kill');
  return kinds;
}

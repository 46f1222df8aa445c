import type { Incarnation, PeerId } from '../core/ids.ts';
import type { CoreOptions } from '../core/state.ts';
import type { NodeOptions } from './node-options.ts';

/** Newest format version this program reads and writes. */
export const FORMAT_VERSION_MAX = 1;

const MIB = 1_048_576;

/** Bounds of the node shell, with their defaults filled in. */
export type Limits = {
  readonly snapshotIntervalMs: number;
  readonly snapshotLogBytes: number;
  readonly pendingTasksMax: number;
  readonly pendingBytesMax: number;
};

export function resolveLimits<Context>(options: NodeOptions<Context>): Limits {
  return {
    snapshotIntervalMs: options.snapshotIntervalMs ?? 3_600_000,
    snapshotLogBytes: options.snapshotLogBytes ?? 64 * MIB,
    pendingTasksMax: options.pendingTasksMax ?? 100_000,
    pendingBytesMax: options.pendingBytesMax ?? 64 * MIB,
  };
}

/** What the core needs to know, with defaults filled in (braft NodeOptions and flags). */
export function coreOptionsOf<Context>(
  options: NodeOptions<Context>,
  self: { readonly peer: PeerId; readonly incarnation: Incarnation },
): CoreOptions {
  return {
    id: self.peer,
    incarnation: self.incarnation,
    seed: options.seed,
    electionTimeoutMs: options.electionTimeoutMs ?? 1_000,
    clockDriftMaxMs: options.clockDriftMaxMs ?? 1_000,
    leaderLease: options.leaderLease ?? false,
    catchUpTimeoutMs: options.catchUpTimeoutMs ?? 0,
    catchUpTotalTimeoutMs: options.catchUpTotalTimeoutMs ?? 600_000,
    catchUpMarginEntries: options.catchUpMarginEntries ?? 1_000,
    appendBytesMax: options.appendBytesMax ?? MIB / 2,
    inFlightEntriesMax: options.inFlightEntriesMax ?? 4_096,
    inFlightBytesMax: options.inFlightBytesMax ?? 8 * MIB,
    recentBytesMax: options.recentBytesMax ?? 16 * MIB,
    formatVersionMax: FORMAT_VERSION_MAX,
  };
}

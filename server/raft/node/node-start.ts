import { initialRecord } from '../core/configuration.ts';
import type { HardState } from '../core/event.ts';
import { LogIndex, type PeerId } from '../core/ids.ts';
import { peerFields } from '../core/peer-id.ts';
import type { Recovered } from '../core/recovered.ts';
import { RaftError } from '../error.ts';
import { FORMAT_VERSION_MAX } from './defaults.ts';
import type { NodeOptions, NodeStorage } from './node-options.ts';
import { firstLineage } from './lineage.ts';

/** Who the node is and what it was told; enough to decide how it starts. */
type Start<Context> = {
  readonly group: string;
  readonly peer: PeerId;
  readonly options: NodeOptions<Context>;
};

/**
 * Brings log and snapshot into agreement and decides whether this disk may vote (braft
 * LogManager::check_consistency and Node::init).
 *
 * @throws RaftError EIO when entries between snapshot and log are missing; EINVAL for a peer that
 *   cannot be one, or for a group that writes a newer format.
 */
export async function recover<Context>(start: Start<Context>): Promise<Recovered> {
  const { options, peer } = start;
  const { storage, initialVoters } = options;
  if (peerFields(peer).role === 'witness') {
    throw new RaftError('EINVAL', `${peer}: witnesses (role 1) are not supported; use role 0`);
  }
  checkFormat(storage);
  const snapshot = storage.snapshots?.recovered;
  const log = await agreeingLog(storage);
  const hardState = await settleTerm(storage);
  const empty = log.lastIndex === 0 && snapshot === undefined;
  const firstStart = empty && hardState.term <= 1 && hardState.votedFor === undefined;
  await settleIdentity(start, empty);
  const { joined, reset } = storage.identity.current();
  return {
    now: options.clock.now(),
    hardState,
    log,
    snapshot,
    initialVoters,
    joined,
    reset: reset && { voters: new Set(reset.voters), term: reset.term },
    firstStart,
  };
}

/** Refuses what a newer program has begun to write (the group's active format version). */
function checkFormat({ log, snapshots }: NodeStorage): void {
  const newest = log.recovered.configurations.at(-1) ?? snapshots?.recovered?.configuration;
  const active = newest?.formatVersion ?? 0;
  if (active <= FORMAT_VERSION_MAX) return;
  const text = `the group writes format version ${String(active)}`;
  const advice = `this program reads up to ${String(FORMAT_VERSION_MAX)}: run a newer one`;
  throw new RaftError('EINVAL', `${text}; ${advice}`);
}

/** The term at least that of the last reset: a crash may have come between the two files. */
async function settleTerm({ meta, identity }: NodeStorage): Promise<HardState> {
  const { reset } = identity.current();
  if (reset === undefined || reset.term <= meta.recovered.term) return meta.recovered;
  const raised = { term: reset.term, votedFor: undefined, votedIncarnation: undefined };
  await meta.save(raised);
  return raised;
}

/** The log as the core may use it, reset when a crash left a snapshot that it does not reach. */
async function agreeingLog({ log, snapshots }: NodeStorage): Promise<Recovered['log']> {
  const { recovered } = log;
  const last = snapshots?.recovered?.lastIncluded;
  if (last === undefined) {
    if (recovered.firstIndex === 1) return recovered;
    const missing = `(0, ${String(recovered.firstIndex)})`;
    throw new RaftError('EIO', `Missing logs in ${missing}: no snapshot covers them`);
  }
  if (recovered.firstIndex > last.index + 1) {
    const gap = `(${String(last.index)}, ${String(recovered.firstIndex)})`;
    throw new RaftError('EIO', `Missing logs in ${gap} between the snapshot and the log`);
  }
  const run = recovered.termRuns.findLast(({ first }) => first <= last.index);
  const reaches = recovered.lastIndex >= last.index;
  const known = last.index < recovered.firstIndex || run?.term === last.term;
  if (reaches && known) return recovered;
  const next = LogIndex(last.index + 1);
  await log.reset(next);
  return { firstIndex: next, lastIndex: last.index, termRuns: [], configurations: [] };
}

/** Decides once, durably, whether an unused disk takes part from the start or waits to be added. */
async function settleIdentity<Context>(start: Start<Context>, empty: boolean): Promise<void> {
  const { group, peer, options } = start;
  const { identity } = options.storage;
  const { joined, lineage } = identity.current();
  const named = options.initialVoters.has(peer);
  const joins = joined || (empty && options.initialState === 'new' && named);
  const voters = latestVoters(options);
  const first = joins && lineage === undefined && voters.size > 0;
  if (joins === joined && !first) return;
  await identity.update({
    joined: joins,
    ...(first && { lineage: firstLineage(group, voters) }),
  });
}

function latestVoters<Context>({
  storage,
  initialVoters,
}: NodeOptions<Context>): ReadonlySet<PeerId> {
  if (initialVoters.size > 0) return initialVoters;
  const record =
    storage.log.recovered.configurations.at(-1) ??
    storage.snapshots?.recovered?.configuration ??
    initialRecord(initialVoters);
  return record.configuration.voters;
}

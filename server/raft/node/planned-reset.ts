import type { Incarnation, Lineage, LogId, PeerId } from '../core/ids.ts';
import { peersText } from '../core/peer-id.ts';
import type { RaftState } from '../core/state.ts';
import { RaftError } from '../error.ts';
import type { Identity, IdentityStorage, ResetOrder } from '../storage/identity-storage.ts';
import type { NodeEngine } from './node-engine.ts';

/** A reset of the peers as it was planned for this disk, from what was found on it. */
export type ResetPlan = Omit<ResetOrder, 'voters'> & {
  readonly voters: ReadonlySet<PeerId>;
  /** What the disk must be and hold. */
  readonly expected: {
    readonly incarnation: Incarnation;
    readonly lineage: Lineage;
    readonly lastLog: LogId;
  };
};

/**
 * First half of a planned reset, on each survivor: checks that the disk is as the plan found it and
 * keeps it so. From then on the node talks to nobody, also after a restart, until the plan is
 * committed or undone. Repeating it is harmless.
 *
 * @throws RaftError EINVAL for a plan that cannot be; ESTALE when the disk is not as expected; EPERM
 *   when the group can still decide by itself; EBUSY beside another reset. Nothing is changed then.
 */
export async function prepareReset<Context>(
  engine: NodeEngine<Context>,
  identity: IdentityStorage,
  plan: ResetPlan,
): Promise<void> {
  const disk = identity.current();
  const { planHash, lineage, voters, term } = plan;
  if (disk.prepared?.planHash === planHash || isCommitted(disk, planHash)) return;
  const refusal = refusalOf(plan, disk, engine.state);
  if (refusal !== undefined) throw refusal;
  const prepared = { planHash, lineage, voters: [...voters], term };
  await engine.changeIdentity({ prepared }, () => undefined);
  await engine.persist.drain();
}

/**
 * Second half: the disk goes over to the new history and its voters, in one write. Repeating it is
 * harmless.
 *
 * @throws RaftError ENOENT when the plan is not prepared here.
 */
export async function commitReset<Context>(
  engine: NodeEngine<Context>,
  identity: IdentityStorage,
  planHash: string,
): Promise<void> {
  const disk = identity.current();
  if (isCommitted(disk, planHash)) return;
  const { prepared, lineage: from } = disk;
  if (prepared?.planHash !== planHash || from === undefined) {
    throw new RaftError(
      'ENOENT',
      `no reset of plan ${planHash} is prepared here; prepare it first`,
    );
  }
  const { lineage, voters, term } = prepared;
  const reset = { voters, term, planned: { planHash, from } };
  let answered: Promise<unknown> = Promise.resolve();
  await engine.changeIdentity({ lineage, joined: true, reset, prepared: undefined }, () => {
    const { ticket, promise } = engine.requests.open<unknown>();
    answered = promise;
    const now = engine.now();
    engine.driver.submit({ type: 'resetPeers', now, ticket, voters: new Set(voters), term });
  });
  await answered;
}

/**
 * Gives a prepared reset up, or takes a committed one back of which the log holds nothing yet: the
 * disk belongs to its old history again.
 *
 * @throws RaftError ENOENT when there is nothing of this plan; EPERM when the new history has begun.
 */
export async function undoReset<Context>(
  engine: NodeEngine<Context>,
  identity: IdentityStorage,
  planHash: string,
): Promise<void> {
  const disk = identity.current();
  if (disk.prepared?.planHash === planHash) {
    await engine.changeIdentity({ prepared: undefined }, () => undefined);
    return;
  }
  if (!isCommitted(disk, planHash)) {
    throw new RaftError('ENOENT', `nothing of plan ${planHash} is to be undone here`);
  }
  if (engine.isChangingIdentity()) {
    throw new RaftError('EBUSY', 'this disk is just being changed; try again');
  }
  if (!engine.state.configurations.isOverridden()) {
    const last = engine.state.log.lastId();
    const entry = `${String(last.term)}/${String(last.index)}`;
    throw new RaftError('EPERM', `the new history has begun, its log ends at ${entry}: it stays`);
  }
  // The core first: it must not win an election of the history that is being given up. A crash in
  // between leaves a committed reset, which can be undone again.
  const { ticket, promise } = engine.requests.open<unknown>();
  engine.driver.submit({ type: 'undoReset', now: engine.now(), ticket });
  const saved = engine.changeIdentity(
    { lineage: disk.reset?.planned?.from, reset: undefined },
    () => undefined,
  );
  await Promise.all([promise, saved]);
}

/** Why a node that is prepared for a plan does nothing else. */
export function isPrepared(planHash: string): RaftError {
  const text = `a reset of plan ${planHash} is prepared here: commit or undo it first`;
  return new RaftError('EBUSY', text);
}

function isCommitted({ reset }: Identity, planHash: string): boolean {
  return reset?.planned?.planHash === planHash;
}

function refusalOf(plan: ResetPlan, disk: Identity, state: RaftState): RaftError | undefined {
  return (
    unsoundness(plan, disk, state) ?? staleness(plan, disk, state) ?? untimeliness(disk, state)
  );
}

function unsoundness(
  { planHash, lineage, voters }: ResetPlan,
  disk: Identity,
  { options, configurations }: RaftState,
): RaftError | undefined {
  const invalid = (text: string): RaftError => new RaftError('EINVAL', text);
  if (planHash === '' || lineage === '') return invalid('a plan has a hash and a new lineage');
  if (!voters.has(options.id)) return invalid(`${options.id} is not among the new voters`);
  if (lineage === disk.lineage) return invalid('the new lineage is the present one');
  const { outgoing, voters: present } = configurations.latest().configuration;
  if (outgoing !== undefined || peersText(present) !== peersText(voters)) return undefined;
  return invalid('these are the voters already: no reset is needed');
}

function staleness(
  { expected, term }: ResetPlan,
  { incarnation, lineage }: Identity,
  { log, hardState }: RaftState,
): RaftError | undefined {
  const last = log.lastId();
  const idText = ({ term: of, index }: LogId): string => `${String(of)}/${String(index)}`;
  const facts: readonly (readonly [string, string, string])[] = [
    ['incarnation', incarnation, expected.incarnation],
    ['lineage', lineage ?? 'none', expected.lineage],
    ['last log id', idText(last), idText(expected.lastLog)],
  ];
  const changed = facts.find(([, found, planned]) => found !== planned);
  const stale = (text: string): RaftError =>
    new RaftError('ESTALE', `the plan is stale: ${text}; make a new one, nothing was changed`);
  if (changed !== undefined) {
    const [what, found, planned] = changed;
    return stale(`the ${what} of this disk is ${found}, not ${planned}`);
  }
  if (term > hardState.term) return undefined;
  return stale(`this disk is in term ${String(hardState.term)}, not below ${String(term)}`);
}

function untimeliness(disk: Identity, { leader, options, configurations }: RaftState) {
  if (disk.prepared !== undefined) return isPrepared(disk.prepared.planHash);
  if (configurations.isOverridden()) {
    return new RaftError('EBUSY', 'an earlier reset has led to no leader yet: undo it first');
  }
  if (leader !== undefined) {
    return new RaftError('EPERM', `${leader} leads the group: nothing is to be recovered`);
  }
  const { voters } = configurations.latest().configuration;
  if (voters.size > 1 || !voters.has(options.id)) return undefined;
  return new RaftError('EPERM', 'this server alone is a majority: nothing is to be recovered');
}

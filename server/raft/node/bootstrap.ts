import { Term } from '../core/ids.ts';
import { RaftError } from '../error.ts';
import type { Identity, IdentityStorage } from '../storage/identity-storage.ts';
import { firstLineage } from './lineage.ts';
import type { NodeEngine } from './node-engine.ts';

const CLUSTER_ID_LENGTH_MAX = 200;

/**
 * Makes an empty disk the only voter of a new group. Whose the disk is comes first and durably: a
 * crash after that leaves a disk that nobody else can take in and that only a repeat brings on.
 *
 * @throws RaftError as NodeApi.bootstrap says.
 */
export async function bootstrap<Context>(
  engine: NodeEngine<Context>,
  { clusterId, identity }: { readonly clusterId: string; readonly identity: IdentityStorage },
): Promise<void> {
  if (clusterId === '' || clusterId.length > CLUSTER_ID_LENGTH_MAX) {
    const text = `the cluster id must have 1 to ${CLUSTER_ID_LENGTH_MAX} characters`;
    throw new RaftError('EINVAL', text);
  }
  const { state } = engine;
  const { id } = state.options;
  const disk = identity.current();
  const { voters } = state.configurations.latest().configuration;
  const isMember = disk.joined && voters.has(id);
  if (!isMember || disk.clusterId !== clusterId) {
    checkEmpty(engine, disk, clusterId);
    await found(engine, disk, clusterId);
  }
  // In a group of several it is others who decide when the next entry is committed.
  if (voters.size <= 1) await engine.committedAsVoter();
}

async function found<Context>(
  engine: NodeEngine<Context>,
  { group }: Identity,
  clusterId: string,
): Promise<void> {
  const { id } = engine.state.options;
  const voters = new Set([id]);
  const founder = { clusterId, lineage: firstLineage(group, voters), joined: true };
  let answered: Promise<unknown> = Promise.resolve();
  await engine.changeIdentity(founder, () => {
    const { requests, driver } = engine;
    const reset = requests.open();
    const campaign = requests.open();
    answered = Promise.all([reset.promise, campaign.promise]);
    const now = engine.now();
    const { electionTimeoutMs } = engine.state.timing;
    const term = Term(engine.state.hardState.term + 1);
    driver.submit({ type: 'resetPeers', now, ticket: reset.ticket, voters, term });
    // Nobody else could be leading: no need to wait for an election timeout.
    driver.submit({ type: 'campaign', now, ticket: campaign.ticket, electionTimeoutMs });
  });
  await answered;
}

/** @throws RaftError unless the disk is empty, or was being founded for this cluster. */
function checkEmpty<Context>(
  engine: NodeEngine<Context>,
  { group, clusterId, lineage, joined }: Identity,
  asked: string,
): void {
  const { id } = engine.state.options;
  const advice = 'give an empty disk, or the cluster that this one belongs to';
  if (clusterId !== '' && clusterId !== asked) {
    const text = `this disk belongs to cluster ${clusterId}, not ${asked}; ${advice}`;
    throw new RaftError('EEXIST', text);
  }
  const interrupted =
    joined && clusterId === asked && lineage === firstLineage(group, new Set([id]));
  const unused = !joined && lineage === undefined;
  const { log, snapshot, configurations } = engine.state;
  if ((!unused && !interrupted) || log.lastId().index > 0 || snapshot !== undefined) {
    const owner = clusterId === '' ? 'a cluster without an id' : `cluster ${clusterId}`;
    throw new RaftError('EEXIST', `this disk belongs to a group of ${owner} already; ${advice}`);
  }
  if (configurations.latest().configuration.voters.size > 0) {
    const text = 'this server was started with voters (--conf)';
    throw new RaftError('EINVAL', `${text}; start it without them to bootstrap it`);
  }
}

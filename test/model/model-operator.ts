import { quantityBytes } from '../../operator/api/quantity.ts';
import type { Action, Plan } from '../../operator/cluster/action.ts';
import { FactMemory, factsSeen } from '../../operator/cluster/evidence.ts';
import type {
  ClaimView,
  GroupView,
  MemberReport,
  Observed,
} from '../../operator/cluster/observed.ts';
import { disruptionBudget } from '../../operator/resources/protection.ts';
import { statusOf } from '../../operator/cluster/status.ts';
import type { Judge } from './judge.ts';
import { hashOf, type Objects, type World } from './kubernetes.ts';
import { Refused, type Server } from './raft-group.ts';

/** The operator's process ends here. */
export class Killed extends Error {
  override readonly name = 'Killed';
}

/** As in execute.ts: something changed since the pass looked. */
class Stale extends Error {
  override readonly name = 'Stale';
}

export type ModelOperatorOptions = {
  readonly world: World;
  readonly judge: Judge;
  readonly name: string;
  readonly plan: (observed: Observed) => Plan;
  /** Called after each effect outside of the operator; may throw Killed. */
  readonly called: (what: string) => void;
  readonly trace: (line: string) => void;
};

type ActionOf<T extends Action['type']> = Extract<Action, { readonly type: T }>;

const SERVER_ACTIONS = [
  ...(['bootstrap', 'joinFresh', 'claimFence', 'changePeers', 'transferLeader'] as const),
];
const POD_ACTIONS = ['evictPod', 'deletePod'] as const;
const CLAIM_ACTIONS = ['quarantineClaim', 'releaseClaim', 'deleteClaim', 'growClaim'] as const;

type ServerAction = (typeof SERVER_ACTIONS)[number];
type PodAction = (typeof POD_ACTIONS)[number];
type ClaimAction = (typeof CLAIM_ACTIONS)[number];

/** As in reconcile.ts, but sooner. */
const GROW_AGAIN_MS = 20_000;
const CONTACT_MAX_MS = 3_000;
const LAG_MAX_ENTRIES = 10;
/** How many calls succeed without the operator hearing of it. */
const LOST_ANSWERS = 0.05;
const OWNER = { apiVersion: '', kind: '', name: '', uid: '' };

/** The loop of reconcile.ts and execute.ts around the real plan, status and memory of facts. */
export class ModelOperator {
  readonly #options: ModelOperatorOptions;
  #facts = new FactMemory();
  #fence: number | undefined;
  #instance: string;
  #cache: Objects;
  #growthRefusedUntilMs = -Infinity;
  #clusterUid: string | undefined;
  /** The status that was compared last, as text. */
  #told: { readonly status: Observed['status']; readonly text: string } | undefined;
  /** Pods that this operator cannot reach, though others can. */
  readonly blindTo = new Set<string>();
  last: Plan | undefined;

  constructor(options: ModelOperatorOptions) {
    this.#options = options;
    this.#instance = options.world.name(options.name);
    this.#cache = options.world.objects;
  }

  restart(): void {
    this.#forget();
    this.#cache = this.#options.world.objects;
  }

  #forget(): void {
    this.#facts = new FactMemory();
    this.#fence = undefined;
    this.#growthRefusedUntilMs = -Infinity;
    this.#instance = this.#options.world.name(this.#options.name);
  }

  /** Hears of some kinds of objects now, and of the others later. */
  hear(kinds: readonly (keyof Objects)[]): void {
    const { objects } = this.#options.world;
    const news = Object.fromEntries(kinds.map((kind) => [kind, objects[kind]]));
    this.#cache = { ...this.#cache, ...news };
  }

  /** One pass. @throws Killed */
  pass(): void {
    const { cluster } = this.#cache;
    const { trace, plan, world, name } = this.#options;
    if (cluster === undefined) return this.#forget();
    if (cluster.uid !== this.#clusterUid) this.#forget();
    this.#clusterUid = cluster.uid;
    const looked = this.#observe(cluster);
    const observed = { ...looked, facts: this.#facts.note(factsSeen(looked), world.nowMs) };
    const next = plan(observed);
    this.last = next;
    try {
      if (!observed.deleting && !observed.spec.paused) this.#mark(observed);
      if (next.action !== undefined) this.#execute(next.action, observed);
      this.#tell(observed, next);
    } catch (error) {
      if (error instanceof Killed) throw error;
      if (!(error instanceof Stale) && !(error instanceof Refused)) throw error;
      trace(`  ${name}: ${error.name}: ${error.message}`);
      if (error instanceof Refused) this.#tellQuietly(observed, next);
    }
  }

  #observe(cluster: NonNullable<Objects['cluster']>): Omit<Observed, 'facts'> {
    const { world } = this.#options;
    const { set, pods, claims } = this.#cache;
    const reachable = world.reachable().filter(({ podUid }) => !this.blindTo.has(podUid));
    const servers = new Map(reachable.map((server) => [server.podUid, server]));
    const answering = pods.flatMap(({ uid, running }) => (running && servers.get(uid)) || []);
    const leaders = answering.filter(({ leads }) => leads);
    leaders.sort((a, b) => b.disk.term - a.disk.term);
    const [leader] = leaders;
    const confirmed = leader !== undefined && world.group.isConfirmed(leader, world.taking());
    const current = set !== undefined && set.observedGeneration >= set.generation;
    return {
      ...{ namespace: 'ns', name: 'c', generation: cluster.generation, deleting: false },
      ...{ spec: cluster.spec, status: cluster.status, adoptClusterId: cluster.adoptClusterId },
      templateHash: hashOf(cluster.spec.version ?? ''),
      statefulSet: set && {
        ...{ uid: set.uid, replicas: set.replicas, templateHash: set.templateHash },
        claimSize: set.claimSize,
        updateRevision: current ? set.updateRevision : undefined,
        deleting: false,
      },
      pods: pods.map((pod) => {
        const server = answering.find(({ podUid }) => podUid === pod.uid);
        const { ordinal, uid, revision, ready, deleting, node, trouble } = pod;
        const report = server && reportOf(server);
        return { ordinal, uid, revision, ready, deleting, node, trouble, report };
      }),
      claims: claims.map((claim) => this.#claimView(claim)),
      group: confirmed ? groupOf(leader, world.nowMs) : undefined,
      ...{
        fence: this.#fence,
        growthRefused: this.#growthRefused(),
        monitored: undefined,
        now: world.now(),
      },
    };
  }

  #claimView({ disk, ...claim }: Objects['claims'][number]): ClaimView {
    const { ordinal, uid, deleting, clusterId, quarantinedAt } = claim;
    const lost = disk?.node !== undefined && !this.#cache.nodes.includes(disk.node);
    const bound = disk !== undefined;
    const { requestedBytes, capacityBytes } = claim;
    const sizes = { requestedBytes, capacityBytes, growth: undefined };
    return { ordinal, uid, bound, deleting, clusterId, quarantinedAt, lost, ...sizes };
  }

  /** As maintain.ts: a volume tells whose data it holds. */
  #mark({ group, claims }: Observed): void {
    const clusterId = group?.clusterId;
    for (const { uid, clusterId: noted, deleting } of claims) {
      if (deleting || noted !== undefined || clusterId === undefined) continue;
      this.#options.world.patchClaim(uid, { clusterId });
      this.#options.called('mark claim');
    }
  }

  #execute(action: Action, observed: Observed): void {
    const { world, judge, trace, name } = this.#options;
    const { cluster, set } = world.objects;
    const cached = this.#cache;
    if (!isSame(cluster, cached.cluster) || !isSame(set, cached.set)) throw new Stale(action.type);
    if (action.type === 'growClaim' && !this.#knowsSizes()) throw new Stale('a volume grows');
    trace(`  ${name}: ${describe(action)}`);
    judge.judge(action);
    this.#carryOut(action, observed);
    this.#options.called(action.type);
    this.#loseAnswer();
  }

  #knowsSizes(): boolean {
    const live = this.#options.world.objects.claims;
    return this.#cache.claims.every(({ uid, requestedBytes }) =>
      live.some((claim) => claim.uid === uid && claim.requestedBytes === requestedBytes),
    );
  }

  /** What was asked for has happened, and the operator is told that it failed. */
  #loseAnswer(): void {
    if (this.#options.world.random.chance(LOST_ANSWERS)) throw new Refused('no answer in time');
  }

  #carryOut(action: Action, observed: Observed): void {
    if (isOneOf(SERVER_ACTIONS, action)) return this.#callServer(action, observed);
    if (isOneOf(POD_ACTIONS, action)) return this.#endPod(action);
    if (isOneOf(CLAIM_ACTIONS, action)) return this.#changeClaim(action, observed.now);
    if (action.type === 'orphanPods') return this.#orphanPods(action);
    return this.#changeSet(action, observed);
  }

  #growthRefused(): string | undefined {
    return this.#options.world.nowMs < this.#growthRefusedUntilMs ? 'it may not grow' : undefined;
  }

  #orphanPods({ uid }: ActionOf<'orphanPods'>): void {
    const { world } = this.#options;
    if (world.objects.set?.uid !== uid) throw new Stale('another StatefulSet');
    world.objects = { ...world.objects, set: undefined };
  }

  #changeClaim(action: ActionOf<ClaimAction>, now: string): void {
    const { type, ordinal, uid } = action;
    const { world } = this.#options;
    if (world.claim(ordinal)?.uid !== uid) throw new Stale('another claim');
    if (type === 'growClaim') {
      if (world.volumesMayGrow)
        return world.patchClaim(uid, { requestedBytes: quantityBytes(action.size) });
      this.#growthRefusedUntilMs = world.nowMs + GROW_AGAIN_MS;
      throw new Refused('403: it may not grow');
    }
    const quarantinedAt = type === 'quarantineClaim' ? now : undefined;
    world.patchClaim(uid, type === 'deleteClaim' ? { deleting: true } : { quarantinedAt });
  }

  #changeSet(
    action: Exclude<Action, ActionOf<ServerAction | PodAction | ClaimAction | 'orphanPods'>>,
    { spec, status }: Observed,
  ): void {
    const { world } = this.#options;
    const image = spec.version ?? '';
    switch (action.type) {
      case 'recordClusterId': {
        const clusterID = action.clusterId ?? world.name('id');
        return world.patchCluster({ status: { ...status, clusterID } });
      }
      case 'createStatefulSet':
        if (world.objects.set !== undefined) throw new Stale('it exists');
        return world.createSet({ replicas: action.replicas, image });
      case 'setReplicas':
        return world.patchSet({ replicas: action.replicas });
      case 'applyTemplate':
        return world.patchSet({ image, templateHash: hashOf(image) });
      case 'rollBack': {
        const { failedTemplate, revision } = action;
        world.patchCluster({ status: { ...status, failedTemplate } });
        this.#options.called('note failed template');
        const kept = world.revisions.get(revision);
        if (kept === undefined) throw new Refused(`${revision} does not exist any more`);
        return world.patchSet({ image: kept, templateHash: `rolled-back-to-${revision}` });
      }
    }
  }

  #callServer(action: ActionOf<ServerAction>, observed: Observed): void {
    const { world } = this.#options;
    const { group, nowMs } = world;
    switch (action.type) {
      case 'bootstrap':
        return group.bootstrap(this.#server(0), action.clusterId, nowMs);
      case 'joinFresh': {
        const server = this.#server(action.ordinal);
        group.joinFresh(server, action.incarnation, nowMs);
        return group.stop(server.podUid);
      }
      case 'claimFence': {
        const operationId = `claim-${this.#instance}-${String(action.fence)}`;
        group.claim(this.#server(observed.group?.leader), { ...action, operationId });
        this.#loseAnswer();
        this.#fence = action.fence;
        return;
      }
      case 'changePeers': {
        const { voters, configurationIndex, fence } = action;
        const operationId = `${String(configurationIndex)}:${voters.join(',')}`;
        const leader = this.#server(observed.group?.leader);
        const guard = { fence, configurationIndex, operationId };
        return group.changePeers(leader, voters, guard, nowMs);
      }
      case 'transferLeader':
        return group.transfer(this.#server(observed.group?.leader), action.to, world.taking());
    }
  }

  #endPod({ type, ordinal, uid }: ActionOf<PodAction>): void {
    const { world } = this.#options;
    if (world.pod(ordinal)?.uid !== uid) throw new Stale('another pod');
    if (type === 'evictPod' && (world.random.chance(0.1) || !mayEvict(world)))
      throw new Refused('429: disruption budget');
    world.patchPod(uid, { deleting: true });
  }

  /** The server whose address this operator knows. */
  #server(ordinal: number | undefined): Server {
    const pod = this.#cache.pods.find((one) => one.ordinal === ordinal);
    const server = this.#options.world.reachable().find(({ podUid }) => podUid === pod?.uid);
    if (server === undefined) throw new Stale('the server has no address any more');
    return server;
  }

  #tell(observed: Observed, next: Plan): void {
    const { world } = this.#options;
    const { cluster } = world.objects;
    const computed = statusOf(observed, next);
    const conditions = computed.conditions.map((one) => ({
      ...one,
      lastTransitionTime: '',
    }));
    const version = observed.spec.version ?? '';
    const status = { ...computed, version, conditions };
    const text = JSON.stringify(status);
    if (text === this.#textOf(observed.status)) return;
    const known = this.#cache.cluster;
    const same = cluster?.uid === known?.uid && cluster?.resourceVersion === known?.resourceVersion;
    if (!same) throw new Stale('status');
    world.patchCluster({ status });
    this.#options.called('status');
  }

  #textOf(status: Observed['status']): string {
    if (this.#told?.status !== status) this.#told = { status, text: JSON.stringify(status) };
    return this.#told.text;
  }

  #tellQuietly(observed: Observed, next: Plan): void {
    try {
      this.#tell(observed, next);
    } catch (error) {
      if (!(error instanceof Stale)) throw error;
    }
  }
}

/** What the disruption budget lets go, as the eviction API reckons. */
function mayEvict({ objects, group }: World): boolean {
  const voters = group.voters();
  const sizes = { voters: voters.size, replicas: objects.cluster?.spec.replicas ?? 0 };
  const { minAvailable } = disruptionBudget({ namespace: 'ns', name: 'c' }, sizes, OWNER).spec;
  const healthy = objects.pods.filter((pod) => pod.ready && !pod.deleting);
  const counted = healthy.filter(({ ordinal }) => voters.has(ordinal));
  return counted.length > Number(minAvailable);
}

function isOneOf<T extends Action['type']>(
  types: readonly T[],
  action: Action,
): action is ActionOf<T> {
  return types.some((type) => type === action.type);
}

type Versioned = { readonly uid: string; readonly resourceVersion: number };

function isSame(live: Versioned | undefined, cached: Versioned | undefined): boolean {
  return live?.uid === cached?.uid && live?.resourceVersion === cached?.resourceVersion;
}

function reportOf({ disk }: Server): MemberReport {
  const { incarnation, clusterId, lineage, joined, tail, knownCommit } = disk;
  return {
    ...{ incarnation, clusterId, lineage, joined, lastIndex: tail?.index ?? 0 },
    committedIndex: knownCommit,
    configurationIndex: tail?.configuration.index ?? 0,
    voters: [
      ...new Set([
        ...(tail?.configuration.voters.keys() ?? []),
        ...(tail?.configuration.outgoing?.keys() ?? []),
      ]),
    ],
    version: '',
  };
}

/** As group-view.ts: the group in the words of its leader. */
function groupOf(
  { disk, ordinal, contacts, change }: Server,
  nowMs: number,
): GroupView | undefined {
  const { tail, knownCommit, clusterId, lineage, term } = disk;
  if (tail === undefined) return undefined;
  const { configuration } = tail;
  let committed = configuration;
  for (let at = tail.parent; at !== undefined && committed.index > knownCommit; at = at.parent) {
    committed = at.configuration;
  }
  const voters = [...configuration.voters].map(([at, bound]) => {
    const contact = contacts.get(at);
    const own = at === ordinal;
    const incarnation = own ? disk.incarnation : bound || (contact?.incarnation ?? '');
    const matchIndex = own ? tail.index : (contact?.matchIndex ?? 0);
    const answers = contact !== undefined && nowMs - contact.atMs <= CONTACT_MAX_MS;
    const close = knownCommit - matchIndex <= LAG_MAX_ENTRIES;
    return { ordinal: at, incarnation, matchIndex, participating: own || (answers && close) };
  });
  return {
    ...{ clusterId, lineage, term, leader: ordinal, commitIndex: knownCommit, voters },
    configurationIndex: committed.index,
    stable: committed === configuration && configuration.outgoing === undefined,
    fence: configuration.fence,
    learners: (change?.added ?? []).flatMap((at) => {
      const contact = contacts.get(at);
      if (contact === undefined) return [];
      const { incarnation, atMs } = contact;
      return [{ incarnation, answers: nowMs - atMs <= CONTACT_MAX_MS }];
    }),
  };
}

function describe(action: Action): string {
  const { type, ...rest } = action;
  return `${type} ${JSON.stringify(rest)}`;
}

/** For reading: what the objects of a world are. */
export function summary({ objects, group, nowMs }: World): string {
  const { cluster, set, pods, claims } = objects;
  const podText = pods.map(
    ({ ordinal, uid, revision, running, ready, deleting, node }) =>
      `${String(ordinal)}=${uid}/${revision}@${node ?? '-'}${running ? 'r' : ''}${ready ? 'R' : ''}${deleting ? 'D' : ''}${group.get(uid)?.leads === true ? 'L' : ''}`,
  );
  const claimText = claims.map(
    ({ ordinal, deleting, quarantinedAt, disk }) =>
      `${String(ordinal)}:${disk?.incarnation ?? '-'}@${disk?.node ?? ''}${deleting ? 'D' : ''}${quarantinedAt === undefined ? '' : 'Q'}`,
  );
  const voters = [...group.voters()].map(([at, bound]) => `${String(at)}/${bound}`);
  const sets = set && `${String(set.replicas)} ${set.image} ${set.updateRevision ?? '?'}`;
  const { replicas = 0, version = '', hibernate = false } = cluster?.spec ?? {};
  return `${String(nowMs / 1_000)}s spec ${String(replicas)} ${version}${hibernate ? ' hibernate' : ''} | set ${sets ?? 'none'} | ${podText.join(' ')} | claims ${claimText.join(' ')} | voters ${voters.join(' ')}`;
}

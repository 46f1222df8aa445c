import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import type { ApiClient } from '../../../operator/controller/api-client.ts';
import { keyText } from '../../../operator/controller/kubernetes-object.ts';
import type { Logger } from '../../../operator/controller/logger.ts';
import type { ControllerMetrics } from '../../../operator/controller/metrics.ts';
import { ANNOTATIONS, ordinalOf, type ClusterName } from '../../../operator/resources/names.ts';
import type { ClusterView } from './cluster-view.ts';
import { MortalOperator } from './mortal-operator.ts';
import { PlayedGroup } from './played-group.ts';
import type { QuickTime } from './quick-time.ts';

const NAME = 'c';
/** As it should be, for so many looks in a row. */
const QUIET_LOOKS = 3;
/** How long a cluster may need to become what its spec says, in quick time. */
const CONVERGENCE_MS = 1_800_000;
const TRACE_LINES_MAX = 400;

/** One call among the calls of a run: the n-th of those with the same text, from 1. */
export type CallName = { readonly call: string; readonly nth: number };

export type KillRunOptions = {
  readonly api: ApiClient;
  readonly view: ClusterView;
  readonly time: QuickTime;
  readonly metrics: ControllerMetrics;
  readonly namespace: string;
  readonly seed: number;
};

/** What an operator did, from one convergence to the next. */
export type Stage = {
  readonly calls: readonly CallName[];
  readonly wasKilled: boolean;
  /** What was wrong, after all that led to it; empty when nothing was. */
  readonly failure: string;
};

/** What a person does, or what happens, one after the other; the cluster converges after each. */
export type Steps = readonly ((run: KillRun) => Promise<void>)[];

/** An AtomicCluster in a namespace of its own, with an operator of its own. */
export class KillRun {
  readonly world: PlayedGroup;
  /** Of the stage that is under way. */
  #calls: CallName[] = [];
  #killedAfter: CallName | undefined;
  #wasKilled = false;
  readonly #trace: string[] = [];
  readonly #options: KillRunOptions;
  readonly #cluster: ClusterName;
  readonly #logger: Logger;
  #operator: MortalOperator | undefined;

  constructor(options: KillRunOptions) {
    const { api, view, namespace, seed } = options;
    this.#options = options;
    this.#cluster = { namespace, name: NAME };
    this.world = new PlayedGroup({ api, view, cluster: this.#cluster, seed });
    const note: Logger['info'] = (message, fields) => {
      this.#note(`  ${message} ${JSON.stringify(fields)}`);
    };
    this.#logger = { debug: () => undefined, info: note, warn: note, error: note };
  }

  /** Makes the cluster and starts an operator. */
  async create(replicas: number): Promise<void> {
    const { namespace } = this.#cluster;
    const namespaces = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace' };
    await this.#options.api.create(namespaces, { metadata: { name: namespace } });
    // A machine without time to spare is not a template that fails.
    const updateStrategy = { canaryDeadline: '1h' };
    const disasterRecovery = { quorumLossGracePeriod: '1h' };
    const spec = { replicas, version: 'v1', updateStrategy, disasterRecovery };
    const object = { metadata: { ...this.#cluster }, spec };
    await this.#options.api.create(ATOMIC_CLUSTER, object);
    this.#startOperator();
  }

  /** Takes steps; the operator ends after one of its calls and another one takes over. */
  async stage(steps: Steps, killedAfter?: CallName): Promise<Stage> {
    this.#calls = [];
    this.#killedAfter = killedAfter;
    this.#wasKilled = false;
    let why: string | undefined;
    for (const step of steps) {
      await step(this);
      why ??= await this.#settle();
    }
    const { violations } = this.world.judge;
    const wrong = [...violations, ...(why === undefined ? [] : [`not settled: ${why}`])];
    const failure = wrong.length === 0 ? '' : [...this.#trace, ...wrong].join('\n');
    return { calls: this.#calls, wasKilled: this.#wasKilled, failure };
  }

  async changeSpec(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#options.api.patch(ATOMIC_CLUSTER, this.#cluster, { body: { spec } });
  }

  /** The volume of a member is empty from one moment to the next, when the group can bear that. */
  loseDiskOf(ordinal: number): Promise<void> {
    return this.#until(() => this.world.loseDiskOf(ordinal));
  }

  /** A person, or chance, makes this member the leader. */
  letLead(ordinal: number): Promise<void> {
    return this.#until(() => this.world.letLead(ordinal));
  }

  async #until(succeeds: () => boolean): Promise<void> {
    while (!succeeds()) await this.world.stepped();
  }

  /** Why it has not become what its spec says; undefined when it has. */
  async #settle(): Promise<string | undefined> {
    const { time } = this.#options;
    const end = time.now() + CONVERGENCE_MS;
    const { generation } =
      (await this.#options.api.get(ATOMIC_CLUSTER, this.#cluster))?.metadata ?? {};
    let why: string | undefined = 'nothing was tried';
    for (let quiet = 0; quiet < QUIET_LOOKS && time.now() < end;) {
      await this.world.stepped();
      why = this.#unsettled(generation);
      quiet = why === undefined ? quiet + 1 : 0;
      if (this.world.judge.violations.length > 0) break;
    }
    return why;
  }

  end(): void {
    this.#operator?.kill();
  }

  #startOperator(): void {
    const [world, cluster, logger] = [this.world, this.#cluster, this.#logger];
    const called = (call: string): boolean => this.#called(call);
    this.#operator = new MortalOperator({ ...this.#options, world, cluster, logger, called });
  }

  #called(call: string): boolean {
    this.#note(call);
    const nth = this.#calls.filter((one) => one.call === call).length + 1;
    this.#calls.push({ call, nth });
    const last = this.#killedAfter;
    if (this.#wasKilled || last?.call !== call || last.nth !== nth) return false;
    this.#note('-- killed --');
    this.#wasKilled = true;
    // The caller ends the one that called.
    this.#startOperator();
    return true;
  }

  #note(line: string): void {
    if (this.#trace.length >= TRACE_LINES_MAX) this.#trace.shift();
    this.#trace.push(`${String(this.world.nowMs / 1_000)}s ${line}`);
  }

  #unsettled(generation: number | undefined): string | undefined {
    const { failure } = this.world.nodes;
    if (failure !== undefined) throw failure;
    const { spec } = this.#options.view.clusters.get(keyText(this.#cluster)) ?? {};
    const wanted = spec?.replicas ?? 0;
    return (
      this.#statusDiffers(wanted, generation) ??
      this.#podsDiffer(wanted) ??
      this.#votersDiffer(wanted) ??
      this.#claimsDiffer(wanted)
    );
  }

  #statusDiffers(wanted: number, generation: number | undefined): string | undefined {
    const { status } = this.#options.view.clusters.get(keyText(this.#cluster)) ?? {};
    const { conditions, operation, voters, readyReplicas } = status ?? {};
    const ready = conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True' || ready.observedGeneration !== generation)
      return `Ready is ${JSON.stringify(ready)} at generation ${String(generation)}`;
    if (operation !== undefined) return `${operation.type} is under way`;
    if (voters === wanted && readyReplicas === wanted) return undefined;
    return `${String(voters)} voters, ${String(readyReplicas)} ready, not ${String(wanted)}`;
  }

  #podsDiffer(wanted: number): string | undefined {
    const set = this.#options.view.sets.get(keyText(this.#cluster));
    if (set?.spec?.replicas !== wanted) return `replicas: ${String(set?.spec?.replicas)}`;
    const pods = this.world.nodes.pods();
    const names = pods.map(({ metadata }) => metadata.name).sort();
    const expected = ordinals(wanted).map((ordinal) => `${NAME}-${String(ordinal)}`);
    if (names.join() !== expected.join()) return `pods ${names.join()}`;
    const revision = set.status?.updateRevision;
    const outdated = pods.find(
      ({ metadata }) => metadata.labels?.['controller-revision-hash'] !== revision,
    );
    return outdated && `${outdated.metadata.name} is not of revision ${String(revision)}`;
  }

  #votersDiffer(wanted: number): string | undefined {
    const voters = [...this.world.group.voters()];
    const present = voters.map(([ordinal]) => ordinal).sort((a, b) => a - b);
    if (present.join() !== ordinals(wanted).join()) return `voters ${present.join()}`;
    const lost = voters.find(([, bound]) => !this.world.isIntact(bound));
    return lost && `the disk of voter ${String(lost[0])} is lost`;
  }

  /** The volumes of members carry no mark, those of members that were scaled away do. */
  #claimsDiffer(wanted: number): string | undefined {
    const { claims } = this.#options.view;
    const all = claims.byIndex('namespace', this.#cluster.namespace);
    const marked = all.map(({ metadata }) => {
      const ordinal = ordinalOf(`data-${NAME}`, metadata.name) ?? Infinity;
      return { ordinal, isMarked: metadata.annotations?.[ANNOTATIONS.quarantinedAt] !== undefined };
    });
    if (marked.filter(({ ordinal }) => ordinal < wanted).length !== wanted) return 'claims missing';
    const odd = marked.find(({ ordinal, isMarked }) => isMarked !== ordinal >= wanted);
    return odd && `claim ${String(odd.ordinal)}: marked ${String(odd.isMarked)}`;
  }
}

function ordinals(count: number): readonly number[] {
  return Array.from({ length: count }, (_, ordinal) => ordinal);
}

import type { Plan } from '../../operator/cluster/action.ts';
import { quantityBytes } from '../../operator/api/quantity.ts';
import type { Observed } from '../../operator/cluster/observed.ts';
import { SimulationRandom } from '../simulation/random.ts';
import { Judge } from './judge.ts';
import { hashOf, revisionOf, World, type Objects, type WorldOptions } from './kubernetes.ts';
import { Killed, ModelOperator, summary } from './model-operator.ts';

const KINDS: readonly (keyof Objects)[] = ['cluster', 'set', 'pods', 'claims', 'nodes'];
/** How long a world may need to become what its spec says after the last fault. */
export const CONVERGENCE_STEPS_MAX = 600;
const QUIET_STEPS = 3;

export type Outcome = {
  readonly violations: readonly string[];
  /** Why it did not become what the spec says; undefined when it did. */
  readonly unsettled: string | undefined;
  readonly trace: readonly string[];
  readonly calls: number;
};

export type ScheduleOptions = WorldOptions & {
  readonly seed: number;
  readonly plan: (observed: Observed) => Plan;
  /** Keeps every line, which costs time. */
  readonly traced?: boolean;
};

/** A world with its operators, and what drives them. */
export class Schedule {
  readonly world: World;
  readonly judge: Judge;
  readonly random: SimulationRandom;
  readonly operators: readonly ModelOperator[];
  readonly trace: string[] = [];
  /** How likely a call is the last one of its operator. */
  killChance = 0;
  calls = 0;
  #killedAfter: readonly number[] = [];
  readonly #traced: boolean;
  readonly #said = new Set<string>();

  constructor({ seed, plan, traced = false, ...options }: ScheduleOptions) {
    this.random = new SimulationRandom(seed, 'schedule');
    this.world = new World(options, new SimulationRandom(seed, 'world'));
    this.judge = new Judge(this.world);
    this.#traced = traced;
    const { world, judge } = this;
    this.operators = ['a', 'b'].map(
      (name) =>
        new ModelOperator({
          ...{ world, judge, name, plan },
          called: (what) => {
            this.#called(what);
          },
          trace: (line) => {
            this.note(line);
          },
        }),
    );
  }

  /** The operator ends after these of its calls from now on, the first of which is 1. */
  killAfter(calls: readonly number[]): void {
    this.calls = 0;
    this.#killedAfter = calls;
  }

  note(line: string): void {
    if (this.#traced) this.trace.push(line);
  }

  /** Leaves out what has not changed but for the time. */
  #noteNew(line: string): void {
    const key = line.replace(/^\d+s/, '');
    if (this.#said.has(key)) return;
    if (this.#said.size > 3) this.#said.clear();
    this.#said.add(key);
    this.note(line);
  }

  /** One second: `heardChance` is how likely an operator hears of each kind, and how likely it looks. */
  step({ heardChance, both }: { readonly heardChance: number; readonly both: boolean }): void {
    this.world.step();
    if (this.#traced) this.#noteNew(summary(this.world));
    this.judge.watch();
    for (const operator of both ? this.operators : this.operators.slice(0, 1)) {
      operator.hear(KINDS.filter(() => this.random.chance(heardChance)));
      if (this.random.chance(heardChance)) this.#pass(operator);
    }
    this.judge.watch();
  }

  #pass(operator: ModelOperator): void {
    try {
      operator.pass();
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      this.note(`  killed after ${error.message}`);
      operator.restart();
    }
    const { operation, stalled } = operator.last ?? {};
    if (stalled !== undefined) this.#noteNew(`  stalled ${stalled.reason}: ${stalled.message}`);
    else if (operation !== undefined) this.#noteNew(`  ${operation.type}: ${operation.message}`);
  }

  #called(what: string): void {
    this.calls++;
    if (this.#killedAfter.includes(this.calls) || this.random.chance(this.killChance))
      throw new Killed(what);
  }

  /** Steps without faults until the world is what the spec says. */
  settle(): string | undefined {
    let quiet = 0;
    let why: string | undefined = 'nothing was tried';
    for (let i = 0; i < CONVERGENCE_STEPS_MAX && quiet < QUIET_STEPS; i++) {
      this.step({ heardChance: 1, both: false });
      if (this.judge.violations.length > 0) break;
      this.#answerStall();
      why = this.#unsettled();
      quiet = why === undefined ? quiet + 1 : 0;
    }
    return why;
  }

  outcome(unsettled: string | undefined): Outcome {
    const { trace, calls } = this;
    return { violations: this.judge.violations, unsettled, trace, calls };
  }

  /** A person does what the message of ForeignDisks says. */
  #answerStall(): void {
    const { stalled } = this.operators[0]?.last ?? {};
    if (stalled?.reason === 'RolloutFailed') this.#correctSpec();
    if (stalled?.reason !== 'ForeignDisks') return;
    const [, id] = /adopt-cluster-id=([^;]+);/.exec(stalled.message) ?? [];
    const { cluster } = this.world.objects;
    if (id === undefined || cluster?.adoptClusterId === id) return;
    this.note(`  the user adopts ${id}`);
    this.world.patchCluster({ adoptClusterId: id });
  }

  /** A template can fail for a reason that has passed: a person tries another one. */
  #correctSpec(): void {
    const { spec } = this.world.objects.cluster ?? {};
    if (spec === undefined || this.world.brokenImages.has(spec.version ?? '')) return;
    const version = this.world.name('w');
    this.note(`  the user wants ${version}`);
    this.world.patchCluster({ spec: { ...spec, version } });
  }

  #unsettled(): string | undefined {
    const { world } = this;
    const { cluster } = world.objects;
    const { stalled, action, operation } = this.operators[0]?.last ?? {};
    if (cluster === undefined) return 'no cluster';
    if (stalled !== undefined) return this.#unjustified(stalled);
    if (cluster.spec.hibernate) return world.objects.pods.length === 0 ? undefined : 'pods run';
    const image = cluster.spec.version ?? '';
    if (this.#isHopeless(image) || this.#hasNoFirstDisk()) return undefined;
    if (action !== undefined) return `still acts: ${action.type}`;
    if (operation !== undefined) return `still waits: ${operation.type} ${operation.message}`;
    return this.#differs(cluster.spec.replicas, image);
  }

  /** Nothing can run: the only template there is is broken. */
  #isHopeless(image: string): boolean {
    const { pods } = this.world.objects;
    const broken = pods.filter((pod) => this.world.brokenImages.has(pod.image)).length;
    const taking = this.world.taking();
    const led = taking.some((one) => this.world.group.isConfirmed(one, taking));
    const tooMany = broken > 0 && (!led || broken * 2 >= pods.length);
    return this.world.brokenImages.has(image) && tooMany;
  }

  /** The node of an empty volume was lost before anything had begun: a person deletes the volume. */
  #hasNoFirstDisk(): boolean {
    const { disks, group, objects } = this.world;
    const gone = disks.some(({ node }) => node !== undefined && !this.world.hasNode(node));
    return (
      gone && group.founded.length === 0 && objects.pods.some(({ node }) => node === undefined)
    );
  }

  #differs(replicas: number, image: string): string | undefined {
    const { cluster, pods, set } = this.world.objects;
    const voters = this.world.group.voters();
    if (voters.size !== replicas) return `${String(voters.size)} voters, not ${String(replicas)}`;
    if (pods.length !== replicas || set?.replicas !== replicas) return 'the number of pods differs';
    if (pods.some((pod) => !pod.ready || pod.revision !== revisionOf(image)))
      return 'a pod is not ready or not of the new revision';
    const ready = cluster?.status.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True') return `Ready is ${ready?.status ?? 'not told'}`;
    return this.#tooSmall(replicas, set.claimSize);
  }

  #tooSmall(replicas: number, claimSize: string): string | undefined {
    const { cluster, claims } = this.world.objects;
    const size = quantityBytes(cluster?.spec.storage.size ?? '');
    const used = claims.filter(({ ordinal }) => ordinal < replicas);
    if (used.some(({ capacityBytes }) => capacityBytes < size)) return 'a volume is too small';
    return quantityBytes(claimSize) < size ? 'new volumes would be too small' : undefined;
  }

  #unjustified({ reason, message }: NonNullable<Plan['stalled']>): string | undefined {
    const { world } = this;
    const { cluster } = world.objects;
    const image = cluster?.spec.version ?? '';
    const lost = this.judge.disaster || this.judge.isLost() || this.#isHopeless(image);
    if (reason === 'QuorumLost' && lost) return undefined;
    if (reason === 'RolloutFailed' && world.brokenImages.has(image)) return undefined;
    const failed = cluster?.status.failedTemplate === hashOf(image);
    return `${reason}${failed ? ' (failed)' : ''}: ${message}`;
  }
}

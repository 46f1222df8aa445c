import { readdirSync, readFileSync } from 'node:fs';
import type { AtomicClusterStatus } from '../../../operator/api/atomic-cluster.ts';
import { eventually } from '../bed/wait.ts';
import { apply, get, kubectl } from './kubectl.ts';

/** Nothing that a test waits for takes this long: it hangs. */
const HANG_GUARD_MS = 300_000;

export type ClusterObject = {
  readonly metadata: { readonly uid: string; readonly generation: number };
  readonly spec: { readonly replicas: number };
  readonly status?: AtomicClusterStatus;
};

/** One AtomicCluster in a namespace of its own, as a user sees it. */
export class ClusterUnderTest {
  readonly namespace: string;
  readonly name: string;

  constructor(namespace: string, name = 'counters') {
    this.namespace = namespace;
    this.name = name;
  }

  async apply(spec: object, annotations: Readonly<Record<string, string>> = {}): Promise<void> {
    await apply({
      apiVersion: 'atomicraft.dev/v1alpha1',
      kind: 'AtomicCluster',
      metadata: { name: this.name, namespace: this.namespace, annotations },
      spec,
    });
  }

  async patch(spec: object): Promise<void> {
    const patch = JSON.stringify({ spec });
    await this.kubectl('patch', 'ac', this.name, '--type=merge', '-p', patch);
  }

  scale(replicas: number): Promise<string> {
    return this.kubectl('scale', `ac/${this.name}`, `--replicas=${String(replicas)}`);
  }

  kubectl(...args: readonly string[]): Promise<string> {
    return kubectl('-n', this.namespace, ...args);
  }

  /** The product's client inside a pod. */
  client(pod: string, ...args: readonly string[]): Promise<string> {
    return this.kubectl('exec', pod, '--', 'atomic', ...args);
  }

  /** One operation, for which the client may wait: nodes learn of a Service after its pods are ready. */
  operation(pod: string, ...args: readonly string[]): Promise<string> {
    return this.client(pod, ...args, '--timeout-ms=60000');
  }

  /**
   * A counter as a new client finds it. After all pods were replaced Kubernetes may need a while to
   * tell its nodes where they are now: what counts here is the value.
   */
  async valueOf(id: string): Promise<string> {
    let value = '';
    await this.eventually(`counter ${id} can be read`, async () => {
      const answer = await this.client(`${this.name}-0`, 'get', id).catch(() => undefined);
      value = answer ?? '';
      return answer !== undefined;
    });
    return value;
  }

  get(): Promise<ClusterObject | undefined> {
    return get<ClusterObject>('ac', this.name, this.namespace);
  }

  async status(): Promise<AtomicClusterStatus> {
    return (await this.get())?.status ?? {};
  }

  /** `True/Running`, as status and reason of one condition. */
  async condition(type: string): Promise<string> {
    const found = (await this.status()).conditions?.find((one) => one.type === type);
    return found === undefined ? '' : `${found.status}/${found.reason}`;
  }

  /**
   * Waits until the operator calls it ready, at the newest generation, with so many voters, and all
   * pods are: status alone may be old while no operator runs.
   */
  async ready(voters: number): Promise<void> {
    await this.eventually(`ready with ${String(voters)} voters`, async () => {
      const { metadata, status = {} } = (await this.get()) ?? {};
      const ready = status.conditions?.find(({ type }) => type === 'Ready');
      const current = status.observedGeneration === metadata?.generation;
      const whole = status.voters === voters && status.replicas === voters;
      if (ready?.status !== 'True' || !current || !whole) return false;
      return (await this.#readyPods()) === voters;
    });
  }

  async #readyPods(): Promise<number> {
    const label = `atomicraft.dev/cluster=${this.name}`;
    const answer = await this.kubectl('get', 'pods', '-l', label, '-o=json');
    const { items } = JSON.parse(answer) as { readonly items: readonly PodObject[] };
    const isReady = ({ metadata, status }: PodObject): boolean =>
      metadata.deletionTimestamp === undefined &&
      status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') === true;
    return items.length === items.filter(isReady).length ? items.length : 0;
  }

  async conditionIs(type: string, expected: string): Promise<void> {
    await this.eventually(`${type} is ${expected}`, async () => {
      return (await this.condition(type)) === expected;
    });
  }

  /** @throws Error that says what is instead, when it never happens. */
  async eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
    try {
      await eventually(`${this.name}: ${what}`, holds, HANG_GUARD_MS);
    } catch (error) {
      const status = JSON.stringify(await this.status());
      const pods = await this.kubectl('get', 'pods', '-o=wide');
      throw new Error(`${String(error)}\nstatus: ${status}\n${pods}`, { cause: error });
    }
  }

  /** The identity of the disk that a member votes with. */
  async incarnation(ordinal: number): Promise<string> {
    const { members = [] } = await this.status();
    return (
      members.find(({ name }) => name === `${this.name}-${String(ordinal)}`)?.incarnation ?? ''
    );
  }

  /** Waits until a member votes with another disk, and all are well. */
  async replaced(ordinal: number, before: string): Promise<void> {
    await this.eventually(`member ${String(ordinal)} has another disk`, async () => {
      const after = await this.incarnation(ordinal);
      return after !== '' && after !== before;
    });
    await this.ready(3);
  }

  async pod(ordinal: number): Promise<PodObject | undefined> {
    return get<PodObject>('pod', `${this.name}-${String(ordinal)}`, this.namespace);
  }

  /** Sends a signal to the server of a pod from outside, as the machine it runs on would. */
  async kill(pod: string, signal: 'KILL' | 'STOP' | 'TERM'): Promise<void> {
    const peer = `--peer=${pod}.${this.namespace}.svc:8100`;
    const pids = processesWith(peer);
    if (pids.length === 0) throw new Error(`no process of ${pod} runs on this machine`);
    for (const pid of pids) process.kill(pid, `SIG${signal}`);
    await Promise.resolve();
  }

  /** Moves leadership to a member; resolves when status says so. */
  async lead(ordinal: number): Promise<void> {
    const leader = `${this.name}-${String(ordinal)}`;
    const host = `${leader}.${this.namespace}.svc:8100`;
    await this.eventually(`${leader} leads`, async () => {
      if ((await this.leader()) === leader) return true;
      const flags = ['--group=Atomic', `--conf=${host}`, `--peer=${host}`];
      await this.client(leader, 'admin', 'transfer_leader', ...flags).catch(() => undefined);
      return false;
    });
  }

  async leader(): Promise<string> {
    let leader = '';
    await this.eventually('a leader is known', async () => {
      leader = (await this.status()).leader ?? '';
      return leader !== '';
    });
    return leader;
  }
}

export type PodObject = {
  readonly metadata: {
    readonly uid: string;
    readonly name: string;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly nodeName?: string;
    readonly containers: readonly { readonly image: string }[];
  };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly containerID?: string;
      readonly restartCount: number;
    }[];
  };
};

/** Processes of this machine that were started with an argument. */
function processesWith(argument: string): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return args.includes(argument) ? [Number(name)] : [];
    } catch {
      // It has ended meanwhile.
      return [];
    }
  });
}

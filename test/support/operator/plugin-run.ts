import type { ReplicaStatus } from '../../../client/index.ts';
import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import type {
  AtomicClusterObject,
  PodObject,
} from '../../../operator/cluster/kubernetes-objects.ts';
import type { ConnectReplica } from '../../../operator/cluster/replicas.ts';
import { addressOf } from '../../../operator/cluster/replicas.ts';
import { ApiError } from '../../../operator/controller/api-error.ts';
import type {
  KubernetesObject,
  ResourceType,
} from '../../../operator/controller/kubernetes-object.ts';
import { runPlugin } from '../../../operator/plugin/command-line.ts';
import type { PluginPorts, PodKey } from '../../../operator/plugin/ports.ts';
import { PODS } from '../../../operator/resources/resource-types.ts';
import { FakeClock } from '../kubernetes/fake-clock.ts';
import { FakeKubernetes } from './fake-kubernetes.ts';
import { RunningOperator } from './running-operator.ts';
import { stepUntilSettled } from './settling.ts';

const NAMESPACE = 'demo';
const SILENT_MS = 60_000;

/** What a command printed, and how it ended. */
export type PluginResult = {
  readonly out: string;
  readonly err: string;
  readonly code: number;
  /** What a screen showed, one text for each time it was drawn. */
  readonly screens: readonly string[];
};

/** The plugin beside an operator, on an API server and servers in memory. */
export class PluginRun {
  readonly clock = new FakeClock();
  readonly kubernetes = new FakeKubernetes(this.clock);
  /** Pods whose servers do not answer anybody. */
  readonly down = new Set<string>();
  /** What the person may not do: `list pods`, `get pods/proxy`. */
  readonly denied = new Set<string>();
  /** What the API server answers in place of anything else. */
  outage: ApiError | undefined;
  /** The secrets that servers were called with. */
  readonly secrets: string[] = [];
  /** How often a command has changed something in Kubernetes. */
  writes = 0;
  #operator: RunningOperator | undefined;

  /** Starts the operator and lets it make clusters `c0`, `c1` and so on. */
  async settle(count = 1, spec: AtomicClusterObject['spec'] = {}): Promise<void> {
    this.#operator ??= new RunningOperator({
      ...{ api: this.kubernetes.api, clock: this.clock, connect: this.#connect },
    });
    this.kubernetes.applyClusters(count, spec);
    const settled = await stepUntilSettled(this.kubernetes, this.clock, count);
    if (settled < count) throw new Error('the clusters did not settle');
  }

  async stop(): Promise<void> {
    await this.#operator?.stop();
  }

  /** Changes what is stored of a pod, and stops its server from answering. */
  breakPod(name: string, status: PodObject['status']): void {
    this.down.add(name);
    const pod = this.#pod(name);
    this.kubernetes.api.put(PODS, { ...pod, ...{ status } });
  }

  /** Runs `kubectl atomic` with these arguments. */
  async run(...argv: readonly string[]): Promise<PluginResult> {
    return this.start(argv).ended;
  }

  /** As `run`, while it goes on; on a screen if there is one. */
  start(
    argv: readonly string[],
    { screen = false }: { readonly screen?: boolean } = {},
  ): { readonly ended: Promise<PluginResult>; readonly out: readonly string[]; stop(): void } {
    const stopping = new AbortController();
    const [out, err, screens]: [string[], string[], string[]] = [[], [], []];
    let code = 0;
    const terminal = {
      print: (text: string) => void out.push(text),
      warn: (text: string) => void err.push(text),
      stopSignal: () => stopping.signal,
      openScreen: screen
        ? () => ({ draw: (text: string) => void screens.push(text), close: () => undefined })
        : undefined,
      setExitCode: (value: number) => {
        code = value;
      },
    };
    const connect = ({ namespace = NAMESPACE }): PluginPorts => this.#ports(namespace);
    const ended = runPlugin(argv, { terminal, connect, version: '1.0.0' }).then(() => ({
      ...{ out: out.join('\n'), err: err.join('\n'), code, screens },
    }));
    return {
      ...{ ended, out },
      stop: () => {
        stopping.abort();
      },
    };
  }

  #ports(namespace: string): PluginPorts {
    const { api } = this.kubernetes;
    const guard = <T>(right: string, call: () => Promise<T>): Promise<T> => {
      if (this.outage !== undefined) return Promise.reject(this.outage);
      if (!this.denied.has(right)) return call();
      const details = { code: 403, reason: 'Forbidden' };
      return Promise.reject(new ApiError(`${right} is forbidden`, details));
    };
    return {
      api: {
        get: <T extends KubernetesObject>(type: ResourceType, key: { readonly name: string }) =>
          guard(`get ${type.plural}`, () => api.get<T>(type, key)),
        list: <T extends KubernetesObject>(type: ResourceType, options = {}) =>
          guard(`list ${type.plural}`, () => api.list<T>(type, options)),
        patch: (type, key, patch) =>
          guard(`patch ${type.plural}`, () => {
            this.writes++;
            return api.patch(type, key, patch);
          }),
      },
      readPage: (pod) => guard('get pods/proxy', () => this.#page(pod)),
      openReplica: (pod, secret) =>
        guard('get pods/portforward', () => {
          this.secrets.push(secret);
          const replica = this.#connect(this.#addressOf(pod.name), () => secret);
          const close = () => Promise.resolve();
          return Promise.resolve({ ...replica, [Symbol.asyncDispose]: close });
        }),
      ...{ clock: this.clock, namespace },
    };
  }

  readonly #connect: ConnectReplica = (address, secret) => {
    const replica = this.kubernetes.members.connect(address, secret);
    return {
      ...replica,
      status: async (options) => {
        const status = await replica.status(options);
        if (this.down.has(hostOf(status.peerId))) throw new Error('it does not answer');
        return { ...status, followers: status.followers.map((one) => this.#heard(one)) };
      },
    };
  };

  #heard(follower: ReplicaStatus['followers'][number]): ReplicaStatus['followers'][number] {
    const isDown = this.down.has(hostOf(follower.peerId));
    return isDown ? { ...follower, lastContactMs: SILENT_MS } : follower;
  }

  /** The status page of a server: its own word and what the others told it. */
  async #page({ name }: PodKey): Promise<unknown> {
    const own = await this.#statusOf(name);
    if (own === undefined) {
      throw new ApiError('error trying to reach service: connection refused', { code: 503 });
    }
    const peers = [...new Set([own.peerId, ...own.peers])].sort();
    const members = peers.map(async (peer) => {
      const status = await this.#statusOf(hostOf(peer));
      const seen = own.followers.find(({ peerId }) => peerId === peer);
      return {
        ...{ peer, self: peer === own.peerId },
        role: own.peers.includes(peer) ? 'voter' : 'outsider',
        ...(status && { status: shown(status), activity: { version: status.version } }),
        ...(seen && { lastContactMs: seen.lastContactMs, installingSnapshot: false }),
      };
    });
    const { leaderId, term, configurationIndex } = own;
    const group = { leader: leaderId || null, term, configurationIndex, changing: false };
    return { ...group, members: await Promise.all(members) };
  }

  async #statusOf(pod: string): Promise<ReplicaStatus | undefined> {
    const key = { namespace: NAMESPACE, name: pod };
    if (this.down.has(pod) || this.kubernetes.api.peek(PODS, key) === undefined) return undefined;
    const replica = this.#connect(this.#addressOf(pod), () => '');
    return replica.status({ linearizable: false, timeoutMs: 0 });
  }

  #addressOf(pod: string): string {
    return addressOf(this.#pod(pod).status?.podIP ?? '');
  }

  #pod(name: string): PodObject {
    const pod = this.kubernetes.api.peek<PodObject>(PODS, { namespace: NAMESPACE, name });
    if (pod === undefined) throw new Error(`there is no pod ${name}`);
    return pod;
  }

  /** Changes what is stored of `c0`. */
  changeCluster(change: Partial<AtomicClusterObject>): void {
    const cluster = this.kubernetes.cluster(0) ?? { metadata: { name: 'c0' } };
    this.kubernetes.api.put(ATOMIC_CLUSTER, { ...cluster, ...change }, 'user');
  }
}

function hostOf(peer: string): string {
  return peer.split('.')[0] ?? '';
}

function shown(status: ReplicaStatus): object {
  const { state, leaderId, term, joined, committedIndex, knownAppliedIndex, lastIndex } = status;
  const indexes = { committedIndex, appliedIndex: knownAppliedIndex, lastIndex };
  return { state, leader: leaderId || null, term, joined, ...indexes };
}

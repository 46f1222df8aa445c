import type { ClaimObject, PodObject } from '../../../operator/cluster/kubernetes-objects.ts';
import type { ApiClient } from '../../../operator/controller/api-client.ts';
import { ApiError } from '../../../operator/controller/api-error.ts';
import { keyText, pathOf } from '../../../operator/controller/kubernetes-object.ts';
import type { ObjectStore } from '../../../operator/controller/object-store.ts';
import { CLAIMS, PODS } from '../../../operator/resources/resource-types.ts';

const NODES = 5;
const BY_NAMESPACE = 'namespace';

/** What runs in the pods. */
export type PlayedProcesses = {
  /** Whether it runs from now on; asked again until it does, and after it has ended by itself. */
  start(pod: PodObject, claimUid: string): boolean;
  stop(podUid: string): void;
  runs(podUid: string): boolean;
  isReady(podUid: string): boolean;
};

export type PlayedNodesOptions = {
  readonly api: ApiClient;
  readonly namespace: string;
  /** With an index by namespace. */
  readonly pods: ObjectStore<PodObject>;
  readonly claims: ObjectStore<ClaimObject>;
  readonly processes: PlayedProcesses;
};

/**
 * Plays scheduler, kubelets and volume provisioner for the pods of a StatefulSet in one namespace.
 */
export class PlayedNodes {
  readonly #options: PlayedNodesOptions;
  readonly #busy = new Set<string>();
  readonly #started = new Set<string>();
  #addresses = 0;
  /** What went wrong that has no business to. */
  failure: Error | undefined;

  constructor(options: PlayedNodesOptions) {
    this.#options = options;
  }

  pods(): readonly PodObject[] {
    return this.#options.pods.byIndex(BY_NAMESPACE, this.#options.namespace);
  }

  /** Does what is next for each pod; resolves when that is done. */
  async look(): Promise<void> {
    const pods = this.pods();
    const present = new Set(pods.map(({ metadata }) => metadata.uid ?? ''));
    for (const uid of this.#started) {
      if (present.has(uid)) continue;
      this.#options.processes.stop(uid);
      this.#started.delete(uid);
    }
    const actions = pods.flatMap((pod) => {
      const action = this.#next(pod);
      return action === undefined ? [] : [this.#do(pod.metadata.uid ?? '', action)];
    });
    await Promise.all(actions);
  }

  /** What is to be done for a pod, if anything is. */
  #next(pod: PodObject): (() => Promise<unknown>) | undefined {
    const { processes } = this.#options;
    const { uid = '', deletionTimestamp } = pod.metadata;
    if (this.#busy.has(uid)) return undefined;
    if (deletionTimestamp !== undefined) {
      processes.stop(uid);
      return () => this.#remove(pod);
    }
    const claim = this.#claimOf(pod);
    if (claim === undefined) return undefined;
    if (pod.spec?.nodeName !== undefined) return this.#run(pod, claim);
    const isUsable = claim.metadata.deletionTimestamp === undefined;
    return isUsable ? () => this.#schedule(pod, claim) : undefined;
  }

  #run(pod: PodObject, claim: ClaimObject): (() => Promise<unknown>) | undefined {
    const { processes } = this.#options;
    const { uid = '' } = pod.metadata;
    if (!processes.runs(uid)) {
      if (!processes.start(pod, claim.metadata.uid ?? '')) return undefined;
      this.#started.add(uid);
    }
    const ready = processes.isReady(uid);
    const isTold = pod.status?.phase === 'Running' && isReady(pod) === ready;
    return isTold ? undefined : () => this.#tell(pod, ready);
  }

  async #do(uid: string, action: () => Promise<unknown>): Promise<void> {
    this.#busy.add(uid);
    try {
      await action();
    } catch (error) {
      // The pod, or its claim, is not what it was any more: the next look sees that.
      const outdated = error instanceof ApiError && [404, 409, 422].includes(error.code);
      if (!outdated) this.failure ??= new Error('a played node failed', { cause: error });
    } finally {
      this.#busy.delete(uid);
    }
  }

  /** As by a scheduler that lets a volume be made when a pod needs it. */
  async #schedule({ metadata }: PodObject, claim: ClaimObject): Promise<void> {
    const { api, namespace } = this.#options;
    const { name, uid } = claim.metadata;
    if (claim.status?.phase !== 'Bound') {
      const key = { namespace, name };
      // There is no volume: nobody looks for one but a kubelet.
      const spec = { volumeName: `volume-${uid ?? ''}` };
      await api.patch(CLAIMS, key, { body: { metadata: { uid }, spec } });
      const status = { phase: 'Bound' };
      await api.patch(CLAIMS, key, { body: { metadata: { uid }, status }, subresource: 'status' });
    }
    const ordinal = Number(metadata.name.split('-').at(-1));
    await api.request({
      method: 'POST',
      path: `${pathOf(PODS, namespace, metadata.name)}/binding`,
      body: {
        ...{
          apiVersion: 'v1',
          kind: 'Binding',
          metadata: { name: metadata.name, uid: metadata.uid },
        },
        target: { apiVersion: 'v1', kind: 'Node', name: `n${String(ordinal % NODES)}` },
      },
    });
  }

  #tell({ metadata, status }: PodObject, ready: boolean): Promise<unknown> {
    const { api, namespace } = this.#options;
    const { uid, name } = metadata;
    const podIP = status?.podIP ?? this.#newAddress();
    const condition = (type: string, holds: boolean): object => ({
      ...{ type, status: holds ? 'True' : 'False' },
      lastTransitionTime: new Date().toISOString(),
    });
    const body = {
      metadata: { uid },
      status: {
        ...{ phase: 'Running', podIP, podIPs: [{ ip: podIP }] },
        conditions: [condition('PodScheduled', true), condition('Ready', ready)],
      },
    };
    return api.patch(PODS, { namespace, name }, { body, subresource: 'status' });
  }

  #remove({ metadata }: PodObject): Promise<unknown> {
    const { api, namespace } = this.#options;
    const { uid, name } = metadata;
    return api.request({
      method: 'DELETE',
      path: pathOf(PODS, namespace, name),
      body: {
        ...{ apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0 },
        preconditions: { uid },
      },
    });
  }

  #claimOf({ metadata }: PodObject): ClaimObject | undefined {
    const name = `data-${metadata.name}`;
    return this.#options.claims.get(keyText({ namespace: this.#options.namespace, name }));
  }

  #newAddress(): string {
    const number = ++this.#addresses;
    return `10.1.${String(number >> 8)}.${String(number & 0xff)}`;
  }
}

function isReady({ status }: PodObject): boolean {
  return status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
}

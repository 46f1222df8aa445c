import { atomicClusterSpecSchema } from '../../../operator/api/atomic-cluster.ts';
import type { ApiClient } from '../../../operator/controller/api-client.ts';
import type { KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';
import { ordinalOf } from '../../../operator/resources/names.ts';
import {
  CLAIMS,
  CONTROLLER_REVISIONS,
  PODS,
  SERVICE_ACCOUNTS,
  STATEFUL_SETS,
} from '../../../operator/resources/resource-types.ts';
import { podTemplate, statefulSet } from '../../../operator/resources/stateful-set.ts';
import { hashOf, World } from '../../model/kubernetes.ts';
import { SimulationRandom } from '../../simulation/random.ts';
import { eventually } from '../bed/wait.ts';
import type { ClusterView } from './cluster-view.ts';
import { PlayedNodes } from './played-nodes.ts';

const NAME = 'c';
const MODEL_STEPS_MAX = 300;
/** So many seconds of the model in which nothing may happen any more. */
const MODEL_QUIET_STEPS = 5;

/** What happens to a StatefulSet and its pods. */
export type Step =
  | { readonly type: 'scale'; readonly replicas: number }
  | { readonly type: 'deletePod'; readonly ordinal: number }
  | { readonly type: 'deleteClaim'; readonly ordinal: number }
  | { readonly type: 'changeTemplate'; readonly image: string }
  | { readonly type: 'setReady'; readonly ordinal: number; readonly ready: boolean }
  /** The StatefulSet is deleted without its pods, and made again. */
  | { readonly type: 'orphan'; readonly replicas: number; readonly image: string };

type StepOnOrdinal = Extract<Step, { readonly ordinal: number }>;

/** What both are compared by, once nothing moves any more. */
type Picture = {
  readonly pods: readonly string[];
  readonly claims: readonly string[];
  readonly observedGeneration: number;
  readonly updateImage: string;
};

/** One of the two that a script is played on. */
type Stage = {
  create(replicas: number, image: string): Promise<void>;
  take(step: Step): Promise<void>;
  settle(): Promise<Picture>;
};

/** The model of the StatefulSet controller that the planner is explored with. */
export class ModelStage implements Stage {
  readonly #world: World;

  constructor(seed: number) {
    this.#world = new World({ replicas: 1, nodeBound: false }, new SimulationRandom(seed, 'world'));
  }

  create(replicas: number, image: string): Promise<void> {
    this.#world.createSet({ replicas, image });
    return Promise.resolve();
  }

  take(step: Step): Promise<void> {
    const world = this.#world;
    switch (step.type) {
      case 'scale':
        world.patchSet({ replicas: step.replicas });
        break;
      case 'changeTemplate':
        world.patchSet({ image: step.image, templateHash: hashOf(step.image) });
        break;
      case 'orphan':
        world.objects = { ...world.objects, set: undefined };
        world.step();
        world.createSet(step);
        break;
      default:
        this.#strike(step);
    }
    return Promise.resolve();
  }

  #strike(step: StepOnOrdinal): void {
    const world = this.#world;
    const { uid = '' } = world.pod(step.ordinal) ?? {};
    if (step.type === 'deletePod') world.patchPod(uid, { deleting: true });
    else if (step.type === 'deleteClaim')
      world.patchClaim(world.claim(step.ordinal)?.uid ?? '', { deleting: true });
    else if (step.ready) world.frozen.delete(uid);
    else world.frozen.add(uid);
  }

  settle(): Promise<Picture> {
    let quiet = 0;
    for (let i = 0; i < MODEL_STEPS_MAX && quiet < MODEL_QUIET_STEPS; i++) {
      this.#world.step();
      quiet = this.#isSettled() ? quiet + 1 : 0;
    }
    if (quiet === 0) throw new Error('the model does not come to rest');
    const { set, pods, claims } = this.#world.objects;
    const [, updateImage = ''] = set?.updateRevision?.split('rev-') ?? [];
    return Promise.resolve({
      pods: pods.map(({ ordinal, image }) => podText(ordinal, image)).sort(),
      claims: claims.map(({ ordinal, deleting }) => claimText(ordinal, deleting)).sort(),
      observedGeneration: set?.observedGeneration ?? 0,
      updateImage,
    });
  }

  #isSettled(): boolean {
    const { set, pods } = this.#world.objects;
    return (
      set?.observedGeneration === set?.generation &&
      pods.length === set?.replicas &&
      pods.every(({ running, deleting }) => running && !deleting)
    );
  }
}

type PodObject = KubernetesObject & {
  readonly status?: { readonly phase?: string; readonly conditions?: readonly ConditionObject[] };
};
type ConditionObject = { readonly type: string; readonly status: string };
type SetObject = KubernetesObject & {
  readonly spec: { readonly replicas: number };
  readonly status?: { readonly observedGeneration?: number; readonly updateRevision?: string };
};
type RevisionObject = KubernetesObject & {
  readonly data: {
    readonly spec: {
      readonly template: {
        readonly spec: { readonly containers: readonly { readonly image: string }[] };
      };
    };
  };
};

/** The real StatefulSet controller; whatever else a pod needs is played. */
export class RealStage implements Stage {
  readonly #api: ApiClient;
  readonly #namespace: string;
  readonly #nodes: PlayedNodes;
  readonly #running = new Set<string>();
  readonly #notReady = new Set<string>();

  constructor(api: ApiClient, view: ClusterView, namespace: string) {
    this.#api = api;
    this.#namespace = namespace;
    const { pods, claims } = view;
    const processes = {
      start: ({ metadata }: PodObject) => this.#running.add(metadata.uid ?? '').size > 0,
      stop: (uid: string) => {
        this.#running.delete(uid);
      },
      runs: (uid: string) => this.#running.has(uid),
      isReady: (uid: string) => !this.#notReady.has(uid),
    };
    this.#nodes = new PlayedNodes({ api, namespace, pods, claims, processes });
  }

  async create(replicas: number, image: string): Promise<void> {
    const namespaces = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace' };
    await this.#api.create(namespaces, { metadata: { name: this.#namespace } });
    const { namespace, name } = this.#key(NAME);
    await this.#api.create(SERVICE_ACCOUNTS, { metadata: { namespace, name } });
    await this.#createSet(replicas, image);
  }

  async take(step: Step): Promise<void> {
    switch (step.type) {
      case 'scale':
        await this.#patchSet({ replicas: step.replicas });
        return;
      case 'deletePod':
        return this.#api.delete(PODS, this.#key(`${NAME}-${String(step.ordinal)}`));
      case 'deleteClaim':
        return this.#api.delete(CLAIMS, this.#key(`data-${NAME}-${String(step.ordinal)}`));
      case 'changeTemplate': {
        const { template } = this.#set(step.image).spec;
        await this.#patchSet({ template });
        return;
      }
      case 'setReady': {
        const pod = await this.#api.get(PODS, this.#key(`${NAME}-${String(step.ordinal)}`));
        const uid = pod?.metadata.uid ?? '';
        if (step.ready) this.#notReady.delete(uid);
        else this.#notReady.add(uid);
        return;
      }
      case 'orphan': {
        const key = this.#key(NAME);
        await this.#api.delete(STATEFUL_SETS, key, { propagationPolicy: 'Orphan' });
        const isGone = async () => (await this.#api.get(STATEFUL_SETS, key)) === undefined;
        await eventually('the StatefulSet is gone', isGone);
        return this.#createSet(step.replicas, step.image);
      }
    }
  }

  async settle(): Promise<Picture> {
    const { namespace } = this.#key(NAME);
    await eventually(`${namespace} comes to rest`, async () => {
      await this.#nodes.look();
      return this.#isSettled();
    });
    const [set, { pods, claims }, revisions] = await Promise.all([
      this.#api.get<SetObject>(STATEFUL_SETS, this.#key(NAME)),
      this.#podsAndClaims(),
      this.#api.list<RevisionObject>(CONTROLLER_REVISIONS, { namespace }),
    ]);
    const imageOf = (revision = ''): string =>
      revisions.items.find(({ metadata }) => metadata.name === revision)?.data.spec.template.spec
        .containers[0]?.image ?? '';
    return {
      pods: pods
        .map(({ metadata }) => {
          const image = imageOf(metadata.labels?.['controller-revision-hash']);
          return podText(ordinalOf(NAME, metadata.name), image);
        })
        .sort(),
      claims: claims
        .map(({ metadata: { name, deletionTimestamp } }) =>
          claimText(ordinalOf(`data-${NAME}`, name), deletionTimestamp !== undefined),
        )
        .sort(),
      observedGeneration: set?.status?.observedGeneration ?? 0,
      updateImage: imageOf(set?.status?.updateRevision),
    };
  }

  async #isSettled(): Promise<boolean> {
    const [set, { pods, claims }] = await Promise.all([
      this.#api.get<SetObject>(STATEFUL_SETS, this.#key(NAME)),
      this.#podsAndClaims(),
    ]);
    const names = new Set(pods.map(({ metadata }) => `data-${metadata.name}`));
    // Only a pod that uses it keeps a claim that is being deleted.
    const claimsRest = claims.every(
      ({ metadata }) => metadata.deletionTimestamp === undefined || names.has(metadata.name),
    );
    return (
      claimsRest &&
      set?.status?.observedGeneration === set?.metadata.generation &&
      pods.length === set?.spec.replicas &&
      pods.every((pod) => this.#isAtRest(pod, set))
    );
  }

  #isAtRest({ metadata, status }: PodObject, set: SetObject): boolean {
    const ready = status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True');
    return (
      metadata.deletionTimestamp === undefined &&
      metadata.ownerReferences?.[0]?.uid === set.metadata.uid &&
      status?.phase === 'Running' &&
      ready === !this.#notReady.has(metadata.uid ?? '')
    );
  }

  async #podsAndClaims(): Promise<{
    readonly pods: readonly PodObject[];
    readonly claims: readonly KubernetesObject[];
  }> {
    const { namespace } = this.#key(NAME);
    const [pods, claims] = await Promise.all([
      this.#api.list<PodObject>(PODS, { namespace }),
      this.#api.list(CLAIMS, { namespace }),
    ]);
    return { pods: pods.items, claims: claims.items };
  }

  async #createSet(replicas: number, image: string): Promise<void> {
    const { spec, ...object } = this.#set(image);
    await this.#api.create(STATEFUL_SETS, { ...object, spec: { ...spec, replicas } });
  }

  #patchSet(spec: object): Promise<KubernetesObject> {
    return this.#api.patch(STATEFUL_SETS, this.#key(NAME), { body: { spec } });
  }

  /** As the operator makes it, but with no owner. */
  #set(image: string): ReturnType<typeof statefulSet> {
    const source = { ...this.#key(NAME), spec: atomicClusterSpecSchema.parse({}), image };
    const owner = { apiVersion: '', kind: '', name: '', uid: '' };
    const { metadata, spec } = statefulSet(source, podTemplate(source), {
      ...{ hash: '', owner, claimSize: '1Gi' },
    });
    return { metadata: { ...metadata, ownerReferences: [] }, spec };
  }

  #key(name: string): { readonly namespace: string; readonly name: string } {
    return { namespace: this.#namespace, name };
  }
}

const podText = (ordinal: number | undefined, image: string): string =>
  `${String(ordinal)} of ${image}`;
const claimText = (ordinal: number | undefined, deleting: boolean): string =>
  `${String(ordinal)}${deleting ? ' is being deleted' : ''}`;

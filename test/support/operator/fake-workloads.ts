import type {
  ClaimObject,
  StatefulSetObject,
} from '../../../operator/cluster/kubernetes-objects.ts';
import type {
  KubernetesObject,
  ObjectKey,
} from '../../../operator/controller/kubernetes-object.ts';
import { claimName, commonLabels, LABELS, podName } from '../../../operator/resources/names.ts';
import {
  CLAIMS,
  PODS,
  SECRETS,
  STATEFUL_SETS,
} from '../../../operator/resources/resource-types.ts';
import type { FakeApiServer, FakeRequest } from '../kubernetes/fake-api-server.ts';
import type { FakeMembers } from './fake-members.ts';

type Set = StatefulSetObject & {
  readonly spec: {
    readonly replicas: number;
    readonly template: { readonly metadata: object; readonly spec: object };
    readonly volumeClaimTemplates: readonly { readonly spec: object }[];
  };
};

const REVISION_LABEL = 'controller-revision-hash';

/**
 * What controllers and nodes do with StatefulSets, at once: pods run and volumes are bound as soon
 * as a set asks for them. Pods keep the template they were made from.
 */
export class FakeWorkloads {
  readonly #members: FakeMembers;
  #addresses = 0;

  constructor(members: FakeMembers) {
    this.#members = members;
  }

  /** To be called after every request that the API server has carried out. */
  react(api: FakeApiServer, { verb, type, key, subresource }: FakeRequest): void {
    const isWrite = ['create', 'apply', 'patch'].includes(verb) && subresource === undefined;
    if (!isWrite || key === undefined) return;
    if (type.plural === SECRETS.plural) encodeSecret(api, key);
    if (type.plural === CLAIMS.plural) grow(api, key);
    if (type.plural !== STATEFUL_SETS.plural) return;
    const set = api.peek<Set>(STATEFUL_SETS, key);
    if (set === undefined) return;
    const seen = { observedGeneration: set.metadata.generation ?? 0, updateRevision: 'r1' };
    const status = { ...set.status, ...seen };
    api.put(STATEFUL_SETS, { ...set, status } as KubernetesObject, 'controller');
    for (let ordinal = 0; ordinal < set.spec.replicas; ordinal++) this.#run(api, set, ordinal);
    this.#end(api, set);
  }

  #run(api: FakeApiServer, { metadata, spec }: Set, ordinal: number): void {
    const { name, namespace = '' } = metadata;
    const pod = { namespace, name: podName(name, ordinal) };
    const claim = { namespace, name: claimName(name, ordinal) };
    const labels = commonLabels(name);
    if (api.peek(CLAIMS, claim) === undefined) {
      const bound = { ...spec.volumeClaimTemplates[0]?.spec, volumeName: `volume-${claim.name}` };
      const object = { metadata: { ...claim, labels }, spec: bound, status: { phase: 'Bound' } };
      api.put(CLAIMS, object, 'controller');
      grow(api, claim);
    }
    if (api.peek(PODS, pod) !== undefined) return;
    const number = this.#addresses++;
    const podIP = `127.1.${String(number >> 8)}.${String(number & 255)}`;
    this.#members.start(podIP, { namespace, name }, ordinal);
    const object = {
      metadata: { ...pod, labels: { ...labels, [REVISION_LABEL]: 'r1' } },
      spec: { ...spec.template.spec, nodeName: `node-${String(ordinal)}` },
      status: { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: 'True' }] },
    };
    api.put(PODS, object, 'kubelet');
  }

  #end(api: FakeApiServer, { metadata, spec }: Set): void {
    const { name, namespace = '' } = metadata;
    const labelSelector = `${LABELS.cluster}=${name}`;
    for (const pod of api.peekAll(PODS, { namespace, labelSelector })) {
      const ordinal = Number(pod.metadata.name.slice(name.length + 1));
      if (ordinal >= spec.replicas) api.remove(PODS, pod.metadata);
    }
  }
}

/** A volume has what is asked for. */
function grow(api: FakeApiServer, key: ObjectKey): void {
  const claim = api.peek<ClaimObject>(CLAIMS, key);
  if (claim === undefined) return;
  const capacity = claim.spec?.resources?.requests ?? {};
  const grown: ClaimObject = { ...claim, status: { phase: 'Bound', capacity } };
  api.put(CLAIMS, grown, 'controller');
}

/** The API server keeps what was written as text in base64. */
function encodeSecret(api: FakeApiServer, key: ObjectKey): void {
  type Secret = KubernetesObject & { readonly stringData?: Readonly<Record<string, string>> };
  const { stringData = {}, ...secret } = api.peek<Secret>(SECRETS, key) ?? { metadata: key };
  const data = Object.entries(stringData).map(([name, text]) => [name, btoa(text)] as const);
  const encoded: Secret = { ...secret, ...{ data: Object.fromEntries(data) } };
  api.put(SECRETS, encoded, 'server');
}

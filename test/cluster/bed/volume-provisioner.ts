// Volumes of the bed: folders of this machine as `local` volumes, in two classes. A process of its
// own, started with the control plane.
import { KubeConfig } from '@kubernetes/client-node';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../../operator/controller/api-client.ts';
import { systemClock } from '../../../operator/controller/clock.ts';
import { keyText, type KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';
import { silentLogger } from '../../../operator/controller/logger.ts';
import { ObjectStore } from '../../../operator/controller/object-store.ts';
import { Reflector } from '../../../operator/controller/reflector.ts';
import { CLAIMS, VOLUMES } from '../../../operator/resources/resource-types.ts';
import { RUN_FOLDER } from './paths.ts';
import { PROVISIONER, STORAGE_CLASSES } from './storage-classes.ts';

type Claim = KubernetesObject & {
  readonly spec: {
    readonly storageClassName?: string;
    readonly accessModes: readonly string[];
    readonly volumeName?: string;
    readonly resources: { readonly requests: { readonly storage: string } };
  };
  readonly status?: { readonly phase?: string; readonly capacity?: { readonly storage?: string } };
};

type Volume = KubernetesObject & {
  readonly spec: { readonly capacity: { readonly storage: string } };
  readonly status?: { readonly phase?: string };
};

const SELECTED_NODE = 'volume.kubernetes.io/selected-node';

const config = new KubeConfig();
config.loadFromDefault();
const api = new ApiClient(config);

/** Makes the volume of a claim whose pod has been given a node. */
async function provision(claim: Claim): Promise<void> {
  const { metadata, spec } = claim;
  const node = metadata.annotations?.[SELECTED_NODE];
  const known = STORAGE_CLASSES.find(({ name }) => name === spec.storageClassName);
  if (node === undefined || known === undefined || spec.volumeName !== undefined) return;
  const name = `pvc-${metadata.uid ?? ''}`;
  const path = join(RUN_FOLDER, 'volumes', name);
  mkdirSync(path, { recursive: true, mode: 0o770 });
  const expression = known.nodeBound
    ? { key: 'kubernetes.io/hostname', operator: 'In', values: [node] }
    : { key: 'kubernetes.io/os', operator: 'In', values: ['linux'] };
  await api.create(VOLUMES, {
    metadata: { name, annotations: { 'pv.kubernetes.io/provisioned-by': PROVISIONER } },
    spec: {
      capacity: { storage: spec.resources.requests.storage },
      accessModes: spec.accessModes,
      storageClassName: known.name,
      persistentVolumeReclaimPolicy: 'Delete',
      local: { path },
      claimRef: {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
        ...{ namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
      },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [expression] }] } },
    },
  } as KubernetesObject);
}

/** Folders have room for what is asked for; only the books need to say so. */
async function grow(claim: Claim): Promise<void> {
  const { spec, status, metadata } = claim;
  const wanted = spec.resources.requests.storage;
  const { volumeName } = spec;
  if (status?.phase !== 'Bound' || status.capacity?.storage === wanted || volumeName === undefined)
    return;
  const body = { spec: { capacity: { storage: wanted } } };
  await api.patch(VOLUMES, { name: volumeName }, { body });
  const key = { namespace: metadata.namespace ?? '', name: metadata.name };
  const grown = { status: { capacity: { storage: wanted } } };
  await api.patch(CLAIMS, key, { body: grown, subresource: 'status' });
}

async function reclaim({ metadata, status }: Volume): Promise<void> {
  if (metadata.annotations?.['pv.kubernetes.io/provisioned-by'] !== PROVISIONER) return;
  if (status?.phase !== 'Released') return;
  rmSync(join(RUN_FOLDER, 'volumes', metadata.name), { recursive: true, force: true });
  await api.delete(VOLUMES, { name: metadata.name });
}

function report(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}

const claims = new ObjectStore<Claim>();
const volumes = new ObjectStore<Volume>();
const common = { api, clock: systemClock, random: Math.random, logger: silentLogger };
const reflectors = [
  new Reflector<Claim>({
    ...{ ...common, type: CLAIMS, store: claims },
    handlers: [
      (_, { current }) => {
        if (current === undefined || current.metadata.deletionTimestamp !== undefined) return;
        provision(current).catch(report);
        grow(current).catch(report);
      },
    ],
  }),
  new Reflector<Volume>({
    ...{ ...common, type: VOLUMES, store: volumes },
    handlers: [
      (key, { current }) => {
        if (current !== undefined) reclaim(current).catch(report);
        else process.stdout.write(`${keyText({ name: key })} is gone\n`);
      },
    ],
  }),
];
await Promise.all(reflectors.map((reflector) => reflector.run(new AbortController().signal)));

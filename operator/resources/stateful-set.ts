import { createHash } from 'node:crypto';
import { durationMs } from '../api/duration.ts';
import type { AtomicClusterSpec } from '../api/atomic-cluster.ts';
import type { KubernetesObject, OwnerReference } from '../controller/kubernetes-object.ts';
import {
  ANNOTATIONS,
  authSecretName,
  commonLabels,
  GROUP,
  HOST_LABEL,
  peerServiceName,
  PORTS,
  selectorLabels,
  type ClusterName,
} from './names.ts';

const SECONDS = 1_000;
/** What a pod's end takes beside answering what is under way. */
const STOP_MARGIN_SECONDS = 25;
/** Endpoints forget a pod that ends before it stops taking calls. */
const ENDPOINT_DRAIN_SECONDS = 2;
/** A restart may replay a long log: ten minutes at one probe a second. */
const STARTUP_PROBES_MAX = 600;
/** Name servers may tell of a pod that came back where it was before for half a minute. */
const CATCH_UP_TIMEOUT_MS = 45_000;
const NON_ROOT_USER = 65_532;

/** What the pods of a cluster are made from. */
export type PodSource = ClusterName & {
  readonly spec: AtomicClusterSpec;
  /** Repository and tag. */
  readonly image: string;
};

export type PodTemplate = {
  readonly metadata: {
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
};

/** The pods of a cluster; equal sources give equal templates, so that nothing restarts for nothing. */
export function podTemplate(source: PodSource): PodTemplate {
  const { name, spec } = source;
  const { pod, disruption } = spec;
  return {
    metadata: {
      labels: { ...pod.labels, ...commonLabels(name) },
      annotations: {
        'kubectl.kubernetes.io/default-container': 'server',
        'prometheus.io/scrape': 'true',
        'prometheus.io/port': String(PORTS.http),
        ...pod.annotations,
      },
    },
    spec: {
      serviceAccountName: name,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: graceSeconds(spec),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: NON_ROOT_USER,
        runAsGroup: NON_ROOT_USER,
        fsGroup: NON_ROOT_USER,
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...(spec.image.pullSecrets.length > 0 && { imagePullSecrets: spec.image.pullSecrets }),
      ...(pod.nodeSelector !== undefined && { nodeSelector: pod.nodeSelector }),
      ...(pod.tolerations.length > 0 && { tolerations: pod.tolerations }),
      ...(pod.affinity !== undefined && { affinity: pod.affinity }),
      ...(pod.priorityClassName !== undefined && { priorityClassName: pod.priorityClassName }),
      topologySpreadConstraints: [
        ...spreadOver(HOST_LABEL, disruption.spread.hosts, name),
        ...spreadOver('topology.kubernetes.io/zone', disruption.spread.zones, name),
      ],
      containers: [serverContainer(source)],
      volumes: [{ name: 'auth', secret: { secretName: authSecretName(name), defaultMode: 0o440 } }],
    },
  };
}

/** Names the content of a template: what the StatefulSet was last given. */
export function templateHash(template: PodTemplate): string {
  return createHash('sha256').update(JSON.stringify(template)).digest('hex').slice(0, 16);
}

/**
 * The StatefulSet without its number of replicas, which a field manager of its own sets: applying
 * this never starts or stops a pod.
 */
export function statefulSet(
  { namespace, name, spec }: Omit<PodSource, 'image'>,
  template: PodTemplate,
  {
    hash,
    owner,
    claimSize,
  }: {
    readonly hash: string;
    readonly owner: OwnerReference;
    /** Size of the volumes that it makes. */
    readonly claimSize: string;
  },
): KubernetesObject & { readonly spec: Readonly<Record<string, unknown>> } {
  const { storage } = spec;
  return {
    metadata: {
      ...{ namespace, name },
      labels: commonLabels(name),
      annotations: { [ANNOTATIONS.template]: hash },
      ownerReferences: [owner],
    },
    spec: {
      serviceName: peerServiceName(name),
      podManagementPolicy: 'Parallel',
      updateStrategy: { type: 'OnDelete' },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      selector: { matchLabels: selectorLabels(name) },
      template,
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: 'data', labels: commonLabels(name) },
          spec: {
            accessModes: [storage.accessMode],
            resources: { requests: { storage: claimSize } },
            ...(storage.storageClassName !== undefined && {
              storageClassName: storage.storageClassName,
            }),
          },
        },
      ],
    },
  };
}

function graceSeconds(spec: AtomicClusterSpec): number {
  return Math.ceil(durationMs(spec.lifecycle.drainTimeout) / SECONDS) + STOP_MARGIN_SECONDS;
}

function spreadOver(
  topologyKey: string,
  wish: AtomicClusterSpec['disruption']['spread']['hosts'],
  name: string,
): readonly object[] {
  if (wish === 'Ignored') return [];
  return [
    {
      maxSkew: 1,
      topologyKey,
      whenUnsatisfiable: wish === 'Required' ? 'DoNotSchedule' : 'ScheduleAnyway',
      labelSelector: { matchLabels: selectorLabels(name) },
    },
  ];
}

function serverContainer({ namespace, name, spec, image }: PodSource): object {
  const { resources } = spec.pod;
  return {
    name: 'server',
    image,
    imagePullPolicy: spec.image.pullPolicy,
    args: ['server', ...serverFlags(namespace, spec)],
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      // For people who call the client inside a pod.
      { name: 'ATOMIC_CONF', value: `${name}.${namespace}.svc:${String(PORTS.grpc)}` },
      { name: 'ATOMIC_AUTH_SECRET_FILE', value: '/etc/atomicraft/auth/secret' },
    ],
    ports: [
      { name: 'grpc', containerPort: PORTS.grpc },
      { name: 'http', containerPort: PORTS.http },
      { name: 'health', containerPort: PORTS.health },
    ],
    resources: {
      ...(resources.requests !== undefined && { requests: resources.requests }),
      ...(resources.limits !== undefined && { limits: resources.limits }),
    },
    startupProbe: {
      ...probeOf('startup'),
      periodSeconds: 1,
      failureThreshold: STARTUP_PROBES_MAX,
    },
    livenessProbe: { ...probeOf('liveness'), periodSeconds: 5, failureThreshold: 4 },
    readinessProbe: { ...probeOf('readiness'), periodSeconds: 2, failureThreshold: 2 },
    lifecycle: { preStop: { sleep: { seconds: ENDPOINT_DRAIN_SECONDS } } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      readOnlyRootFilesystem: true,
    },
    volumeMounts: [
      { name: 'data', mountPath: '/data' },
      { name: 'auth', mountPath: '/etc/atomicraft/auth', readOnly: true },
    ],
  };
}

function probeOf(service: 'startup' | 'liveness' | 'readiness'): object {
  return { grpc: { port: PORTS.health, service }, timeoutSeconds: 5 };
}

function serverFlags(namespace: string, spec: AtomicClusterSpec): readonly string[] {
  const { raft, lifecycle } = spec;
  // The name of a pod is that of its Service too.
  const host = `$(POD_NAME).${namespace}.svc`;
  return [
    `--port=${String(PORTS.grpc)}`,
    `--http_port=${String(PORTS.http)}`,
    `--health_port=${String(PORTS.health)}`,
    '--listen_address=0.0.0.0',
    `--peer=${host}:${String(PORTS.grpc)}`,
    `--group=${GROUP}`,
    '--data_path=/data/atomic',
    '--initial_state=existing',
    '--auth_secret_file=/etc/atomicraft/auth/secret',
    `--election_timeout_ms=${String(durationMs(raft.electionTimeout))}`,
    `--catch_up_timeout_ms=${String(CATCH_UP_TIMEOUT_MS)}`,
    `--snapshot_interval=${String(Math.ceil(durationMs(raft.snapshotInterval) / SECONDS))}`,
    `--raft_enable_leader_lease=${String(raft.leaderLease)}`,
    `--map_entries_max=${String(raft.mapEntriesMax)}`,
    `--shutdown_timeout_ms=${String(Math.max(durationMs(lifecycle.drainTimeout), 100))}`,
  ];
}

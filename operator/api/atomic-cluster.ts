import { z } from 'zod';
import { DURATION_PATTERN } from './duration.ts';
import { QUANTITY_PATTERN } from './quantity.ts';

/** Where AtomicClusters live in the API. */
export const ATOMIC_CLUSTER = {
  group: 'atomicraft.dev',
  version: 'v1alpha1',
  plural: 'atomicclusters',
  kind: 'AtomicCluster',
} as const;

export const REPLICAS_MAX = 9;

const MEGABYTE = 1_000_000;

const duration = (fallback: string, description: string) =>
  z
    .string()
    .regex(new RegExp(DURATION_PATTERN))
    .max(16)
    .default(fallback)
    .meta({ description: `${description} A whole number with a unit: 500ms, 30s, 5m, 1h.` });

const stringMap = (description: string) =>
  z.record(z.string(), z.string().max(4096)).meta({ description });

const flag = (fallback: boolean, description: string) =>
  z.boolean().default(fallback).meta({ description });

/** A CEL rule of the API server. */
function rule(expression: string, message: string, more: object = {}) {
  return { rule: expression, message, ...more };
}

/** A duration of the object that has the rule must lie in bounds that a server or a wait can keep. */
function within(field: string, least: string, most: string) {
  return rule(
    `duration(self.${field}) >= duration("${least}") && duration(self.${field}) <= duration("${most}")`,
    `${field} must lie between ${least} and ${most}`,
  );
}

const imageSchema = z
  .object({
    repository: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .meta({ description: "Image without tag; default: the operator's own." }),
    pullPolicy: z
      .enum(['Always', 'IfNotPresent', 'Never'])
      .default('IfNotPresent')
      .meta({ description: 'When nodes pull the image.' }),
    pullSecrets: z
      .array(
        z.object({ name: z.string().min(1).max(253).meta({ description: 'Name of a Secret.' }) }),
      )
      .max(16)
      .default([])
      .meta({ description: 'Secrets of the registry.', 'x-kubernetes-list-type': 'atomic' }),
  })
  .meta({ description: 'Where the image comes from.' });

const storageSchema = z
  .object({
    size: z
      .string()
      .regex(new RegExp(QUANTITY_PATTERN))
      .max(20)
      .default('1Gi')
      .meta({
        description: "Size of each member's volume, such as 10Gi. May only grow.",
        'x-kubernetes-validations': [
          rule(
            'quantity(self).compareTo(quantity(oldSelf)) >= 0',
            'a volume cannot shrink: keep the size, or make a new cluster with smaller volumes',
          ),
        ],
      }),
    storageClassName: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .meta({ description: "Storage class; default: the cluster's own. Immutable." }),
    accessMode: z
      .enum(['ReadWriteOnce', 'ReadWriteOncePod'])
      .default('ReadWriteOnce')
      .meta({
        description: 'Access mode of the volumes. Immutable.',
        'x-kubernetes-validations': [
          rule('self == oldSelf', 'accessMode cannot change: make a new cluster to change it'),
        ],
      }),
    retention: z
      .object({
        whenDeleted: z
          .enum(['Retain', 'Delete'])
          .default('Retain')
          .meta({ description: 'What becomes of the volumes when the AtomicCluster is deleted.' }),
        quarantineTTL: duration(
          '168h',
          'How long the volume of a member that was scaled away is kept.',
        ),
      })
      .prefault({})
      .meta({ description: 'What becomes of volumes that are not needed any more.' }),
    onMemberDiskLoss: z.enum(['Replace', 'Manual']).default('Replace').meta({
      description:
        'Replace: a member that lost its disk is removed and added anew, while a quorum holds. Manual: it is only reported.',
    }),
  })
  .meta({
    description: 'The volumes of the members.',
    'x-kubernetes-validations': [
      rule(
        'has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)',
        'storageClassName cannot change: make a new cluster to change it',
      ),
    ],
  });

const raftSchema = z
  .object({
    electionTimeout: duration(
      '1s',
      'A member without a leader for this long, up to half as much more, campaigns.',
    ),
    snapshotInterval: duration('30s', 'Time between snapshots, if anything changed; 0s: none.'),
    leaderLease: flag(false, 'Allow reads under the leader lease; unsafe if nodes are suspended.'),
    mapEntriesMax: z
      .int()
      .min(1)
      .max(134 * MEGABYTE)
      .default(16_777_216)
      .meta({ description: 'Counters the group may hold.' }),
  })
  .meta({
    description: 'Settings of the Raft group; a change restarts the members one by one.',
    'x-kubernetes-validations': [
      within('electionTimeout', '100ms', '1m'),
      within('snapshotInterval', '0s', '240h'),
    ],
  });

const podSchema = z
  .object({
    resources: z
      .object({
        requests: stringMap('Least resources, such as cpu: 500m, memory: 256Mi.').optional(),
        limits: stringMap('Most resources.').optional(),
      })
      .prefault({})
      .meta({ description: 'Resources of the server container.' }),
    nodeSelector: stringMap('Labels that a node must have.').optional(),
    tolerations: z
      .array(
        z
          .record(z.string(), z.unknown())
          .meta({ 'x-kubernetes-preserve-unknown-fields': true, description: 'As in a pod.' }),
      )
      .max(32)
      .default([])
      .meta({
        description: 'Taints to tolerate, as in a pod.',
        'x-kubernetes-list-type': 'atomic',
      }),
    affinity: z.record(z.string(), z.unknown()).optional().meta({
      description: 'Affinity, as in a pod.',
      'x-kubernetes-preserve-unknown-fields': true,
    }),
    priorityClassName: z.string().max(253).optional().meta({ description: 'Priority class.' }),
    labels: stringMap('More labels of the pods.').optional(),
    annotations: stringMap('More annotations of the pods.').optional(),
  })
  .meta({ description: 'What the pods have beyond what the operator gives them.' });

/** What a person asks for. */
export const atomicClusterSpecSchema = z
  .object({
    replicas: z
      .int()
      .max(REPLICAS_MAX)
      .default(3)
      .meta({
        description: 'Voters of the group: 1 to 9, best odd. Change it with kubectl scale.',
        'x-kubernetes-validations': [
          rule('self >= 1', 'replicas 0 is not a size: set spec.hibernate: true'),
        ],
      }),
    version: z
      .string()
      .min(1)
      .max(128)
      .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/)
      .optional()
      .meta({
        description: "Version to run, the image's tag. Default: the operator's, chosen once.",
      }),
    image: imageSchema.prefault({}),
    storage: storageSchema.prefault({}),
    raft: raftSchema.prefault({}),
    memberLossGracePeriod: duration(
      '5m',
      'How long a member must be absent, its node or volume gone, before it is replaced.',
    ),
    updateStrategy: z
      .object({
        type: z.enum(['LeaderLast', 'OnDelete']).default('LeaderLast').meta({
          description:
            'LeaderLast: members restart one by one, the leader last. OnDelete: whoever deletes a pod restarts it.',
        }),
        minReadySeconds: z
          .int()
          .min(0)
          .max(3600)
          .default(0)
          .meta({ description: 'How long a restarted member must take part before the next.' }),
        canaryDeadline: duration(
          '120s',
          'How soon the first restarted member must take part; otherwise the roll is undone.',
        ),
      })
      .prefault({})
      .meta({
        description: 'How changes reach running members.',
        'x-kubernetes-validations': [within('canaryDeadline', '10s', '24h')],
      }),
    lifecycle: z
      .object({
        drainTimeout: duration('20s', 'How long a stopping server may answer what is under way.'),
      })
      .prefault({})
      .meta({
        description: 'How members stop.',
        'x-kubernetes-validations': [within('drainTimeout', '0s', '10m')],
      }),
    disruption: z
      .object({
        podDisruptionBudget: z
          .enum(['Enabled', 'Disabled'])
          .default('Enabled')
          .meta({ description: 'Whether evictions must leave a quorum.' }),
        spread: z
          .object({
            hosts: z
              .enum(['Preferred', 'Required', 'Ignored'])
              .default('Preferred')
              .meta({ description: 'Whether members must run on different nodes.' }),
            zones: z
              .enum(['Preferred', 'Required', 'Ignored'])
              .default('Preferred')
              .meta({ description: 'Whether members must run in different zones.' }),
          })
          .prefault({})
          .meta({ description: 'Where members run.' }),
      })
      .prefault({})
      .meta({ description: 'What protects the quorum against planned and unplanned losses.' }),
    pod: podSchema.prefault({}),
    service: z
      .object({
        type: z
          .enum(['ClusterIP', 'NodePort', 'LoadBalancer'])
          .default('ClusterIP')
          .meta({ description: 'Type of the client Service.' }),
        annotations: stringMap('Annotations of the client Service.').optional(),
      })
      .prefault({})
      .meta({ description: 'How clients reach the group.' }),
    networkPolicy: z
      .object({
        enabled: flag(true, 'Allow only members, the operator and clients to connect.'),
      })
      .prefault({})
      .meta({ description: 'Who may connect.' }),
    monitoring: z
      .object({
        serviceMonitor: z
          .enum(['Enabled', 'Disabled'])
          .default('Disabled')
          .meta({ description: 'Make a ServiceMonitor; needs the Prometheus operator.' }),
      })
      .prefault({})
      .meta({ description: 'How the group is watched.' }),
    disasterRecovery: z
      .object({
        quorumLossGracePeriod: duration(
          '5m',
          'How long a majority must be gone before its loss is reported.',
        ),
      })
      .prefault({})
      .meta({ description: 'What happens when a majority is gone.' }),
    hibernate: flag(false, 'Stop all pods; disks and membership are kept.'),
    paused: flag(false, 'The operator only watches.'),
  })
  .meta({ description: 'What the cluster is to be.' });

const conditionSchema = z.object({
  type: z.string().max(64).meta({ description: 'Name of the condition.' }),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether it holds.' }),
  observedGeneration: z.int().optional().meta({ description: 'Generation it was judged at.' }),
  lastTransitionTime: z
    .string()
    .meta({ description: 'When it last changed.', format: 'date-time' }),
  reason: z.string().max(64).meta({ description: 'Why, in one word.' }),
  message: z.string().max(4096).meta({ description: 'Why, and what to do.' }),
});

const memberSchema = z.object({
  name: z.string().max(63).meta({ description: "The member's pod." }),
  incarnation: z.string().max(64).optional().meta({ description: 'Identity of its disk.' }),
  role: z
    .enum(['Leader', 'Follower', 'Learner', 'None'])
    .meta({ description: 'Its part in the group.' }),
  state: z
    .enum(['Participating', 'Lagging', 'Joining', 'Removed', 'DiskLost', 'Unreachable'])
    .meta({ description: 'What the operator sees of it.' }),
  votes: z.boolean().meta({ description: 'Whether it is a voter.' }),
  version: z.string().max(128).optional().meta({ description: 'The version it runs.' }),
  node: z.string().max(253).optional().meta({ description: 'The node it runs on.' }),
});

/** What the operator sees. It is a cache: the disks are the truth. */
export const atomicClusterStatusSchema = z
  .object({
    observedGeneration: z.int().optional().meta({ description: 'Generation last acted on.' }),
    clusterID: z.string().max(64).optional().meta({ description: 'Kept on every disk.' }),
    lineage: z
      .object({
        id: z.string().max(64).meta({ description: 'History of the group.' }),
        sequence: z.int().meta({ description: 'Grows by one at each reset_peers.' }),
      })
      .optional()
      .meta({ description: 'Which history the members belong to.' }),
    replicas: z.int().optional().meta({ description: 'Pods that exist.' }),
    readyReplicas: z.int().optional().meta({ description: 'Members that take part.' }),
    updatedReplicas: z.int().optional().meta({ description: 'Pods of the current revision.' }),
    voters: z.int().optional().meta({ description: 'Voters of the group.' }),
    leader: z.string().max(63).optional().meta({ description: 'Pod of the leader.' }),
    term: z.int().optional().meta({ description: "The leader's term." }),
    quorum: z.int().optional().meta({ description: 'Voters that must agree.' }),
    faultTolerance: z.int().optional().meta({ description: 'Voters that may fail now.' }),
    configurationIndex: z.int().optional().meta({ description: 'Index of the membership.' }),
    version: z.string().max(128).optional().meta({ description: 'Version that is asked for.' }),
    selector: z.string().max(1024).optional().meta({ description: 'Selects the pods.' }),
    endpoint: z.string().max(320).optional().meta({ description: 'Where clients connect.' }),
    watermark: z
      .object({
        term: z.int().meta({ description: 'Term.' }),
        commitIndex: z.int().meta({ description: 'Everything up to here was committed.' }),
        observedAt: z.string().meta({ description: 'When.', format: 'date-time' }),
      })
      .optional()
      .meta({ description: 'Bounds what a disaster may lose.' }),
    lastGoodRevision: z
      .string()
      .max(253)
      .optional()
      .meta({ description: 'Revision that all members last ran well.' }),
    failedTemplate: z
      .string()
      .max(64)
      .optional()
      .meta({ description: 'Hash of the template that failed; not tried again.' }),
    members: z
      .array(memberSchema)
      .max(32)
      .optional()
      .meta({
        description: 'The members, by pod.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    operation: z
      .object({
        type: z.string().max(64).meta({ description: 'What is being done.' }),
        message: z.string().max(1024).meta({ description: 'The step, and what it waits for.' }),
        startedAt: z.string().meta({ description: 'Since when.', format: 'date-time' }),
      })
      .optional()
      .meta({ description: 'What is under way.' }),
    conditions: z
      .array(conditionSchema)
      .max(32)
      .optional()
      .meta({
        description: 'Conditions by the API conventions.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      }),
  })
  .meta({ description: 'What the operator sees.' });

export type AtomicClusterSpec = z.output<typeof atomicClusterSpecSchema>;
export type AtomicClusterStatus = z.output<typeof atomicClusterStatusSchema>;
export type MemberState = z.output<typeof memberSchema>;

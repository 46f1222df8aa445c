import type { z } from 'zod';
import type { atomicClusterSpecSchema, AtomicClusterStatus } from '../api/atomic-cluster.ts';
import type { KubernetesObject } from '../controller/kubernetes-object.ts';

/** The fields of Kubernetes objects that the operator reads, all of which may be missing. */
export type AtomicClusterObject = KubernetesObject & {
  readonly spec?: z.input<typeof atomicClusterSpecSchema>;
  readonly status?: AtomicClusterStatus;
};

export type StatefulSetObject = KubernetesObject & {
  readonly spec?: {
    readonly replicas?: number;
    readonly volumeClaimTemplates?: readonly { readonly spec?: ClaimSpec }[];
  };
  readonly status?: { readonly observedGeneration?: number; readonly updateRevision?: string };
};

export type PodObject = KubernetesObject & {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
};

export type ContainerStatus = {
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
  };
};

type ClaimSpec = {
  readonly volumeName?: string;
  readonly resources?: { readonly requests?: { readonly storage?: string } };
};

export type ClaimObject = KubernetesObject & {
  readonly spec?: ClaimSpec;
  readonly status?: {
    readonly phase?: string;
    readonly capacity?: { readonly storage?: string };
    readonly conditions?: readonly { readonly type: string; readonly message?: string }[];
  };
};

export type VolumeObject = KubernetesObject & {
  readonly spec?: {
    readonly nodeAffinity?: {
      readonly required?: {
        readonly nodeSelectorTerms?: readonly {
          readonly matchExpressions?: readonly {
            readonly key: string;
            readonly operator: string;
            readonly values?: readonly string[];
          }[];
        }[];
      };
    };
  };
};

/** The nodes that exist, by the label that volumes name them with. */
export type HostNames = Pick<ReadonlySet<string>, 'has'>;

/** Everything of one cluster, as the API server has it. */
export type ClusterObjects = {
  readonly cluster: AtomicClusterObject;
  readonly statefulSet: StatefulSetObject | undefined;
  readonly pods: readonly PodObject[];
  readonly claims: readonly ClaimObject[];
  /** By name; undefined where the operator may not look (an installation in one namespace). */
  readonly volumes: Pick<ReadonlyMap<string, VolumeObject>, 'get'> | undefined;
  readonly nodes: HostNames | undefined;
};

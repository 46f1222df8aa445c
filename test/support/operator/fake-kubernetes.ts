import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import type { AtomicClusterObject } from '../../../operator/cluster/kubernetes-objects.ts';
import type { Clock } from '../../../operator/controller/clock.ts';
import { EVENTS } from '../../../operator/controller/event-recorder.ts';
import { LEASES } from '../../../operator/controller/leader-election.ts';
import * as types from '../../../operator/resources/resource-types.ts';
import { FakeApiServer, type FakeKind } from '../kubernetes/fake-api-server.ts';
import { FakeMembers } from './fake-members.ts';
import { FakeWorkloads } from './fake-workloads.ts';

const NAMESPACE = 'demo';
const WITH_STATUS = [ATOMIC_CLUSTER.plural, types.STATEFUL_SETS.plural, types.PODS.plural];

const KINDS: readonly FakeKind[] = [ATOMIC_CLUSTER, LEASES, EVENTS, ...Object.values(types)].map(
  (type) => ({ ...type, hasStatus: WITH_STATUS.includes(type.plural) }),
);

/** An API server in memory whose pods run at once, and the servers in them. */
export class FakeKubernetes {
  readonly api: FakeApiServer;
  readonly members = new FakeMembers();

  constructor(clock: Clock) {
    const workloads = new FakeWorkloads(this.members);
    this.api = new FakeApiServer({
      ...{ clock, kinds: KINDS },
      after: (request) => {
        workloads.react(this.api, request);
        return 'proceed';
      },
    });
  }

  /** Applies AtomicClusters `c0`, `c1` and so on. */
  applyClusters(count: number, spec: AtomicClusterObject['spec'] = {}): void {
    for (let number = 0; number < count; number++) {
      const metadata = { namespace: NAMESPACE, name: `c${String(number)}` };
      const object: AtomicClusterObject = { metadata, spec };
      this.api.put(ATOMIC_CLUSTER, object, 'user');
    }
  }

  cluster(number: number): AtomicClusterObject | undefined {
    return this.api.peek(ATOMIC_CLUSTER, { namespace: NAMESPACE, name: `c${String(number)}` });
  }

  /** How many clusters are ready and have nothing left to do. */
  settled(): number {
    return this.api.peekAll<AtomicClusterObject>(ATOMIC_CLUSTER).filter(({ metadata, status }) => {
      const holds = (type: string, value: string): boolean =>
        status?.conditions?.some(
          (one) =>
            one.type === type &&
            one.status === value &&
            one.observedGeneration === metadata.generation,
        ) ?? false;
      return holds('Ready', 'True') && holds('Reconciling', 'False');
    }).length;
  }
}

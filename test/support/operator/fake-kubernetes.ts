import { isDeepStrictEqual } from 'node:util';
import { ATOMIC_CLUSTER } from '../../../operator/api/atomic-cluster.ts';
import { conditionOf } from '../../../operator/api/condition.ts';
import type { ConditionType } from '../../../operator/api/condition-reasons.ts';
import type { AtomicClusterObject } from '../../../operator/cluster/kubernetes-objects.ts';
import { ApiError } from '../../../operator/controller/api-error.ts';
import type { Clock } from '../../../operator/controller/clock.ts';
import { EVENTS, type EventObject } from '../../../operator/controller/event-recorder.ts';
import { LEASES } from '../../../operator/controller/leader-election.ts';
import * as types from '../../../operator/resources/resource-types.ts';
import { FakeApiServer, type FakeKind, type FakeRequest } from '../kubernetes/fake-api-server.ts';
import { FakeMembers } from './fake-members.ts';
import { FakeWorkloads } from './fake-workloads.ts';

type Spec = { readonly volumeClaimTemplates?: unknown };

function specOf(object: unknown): Spec | undefined {
  return (object as { readonly spec?: Spec } | undefined)?.spec;
}

const NAMESPACE = 'demo';
const WITH_STATUS = [ATOMIC_CLUSTER.plural, types.STATEFUL_SETS.plural, types.PODS.plural];

const KINDS: readonly FakeKind[] = [ATOMIC_CLUSTER, LEASES, EVENTS, ...Object.values(types)].map(
  (type) => ({ ...type, hasStatus: WITH_STATUS.includes(type.plural) }),
);

/** An API server in memory whose pods run at once, and the servers in them. */
export class FakeKubernetes {
  readonly api: FakeApiServer;
  readonly members = new FakeMembers();
  /** Whether the storage class lets volumes grow. */
  volumesMayGrow = true;
  /** Whether the Prometheus operator is installed. */
  servesServiceMonitors = true;
  /** Whether our own kind is installed. */
  servesAtomicClusters = true;

  constructor(clock: Clock) {
    const workloads = new FakeWorkloads(this.members);
    this.api = new FakeApiServer({
      ...{ clock, kinds: KINDS },
      before: (request) => this.#refusal(request) ?? 'proceed',
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
      const { status } = this.cluster(number) ?? {};
      const object: AtomicClusterObject = { metadata, spec, ...(status && { status }) };
      this.api.put(ATOMIC_CLUSTER, object, 'user');
    }
  }

  cluster(number: number): AtomicClusterObject | undefined {
    return this.api.peek(ATOMIC_CLUSTER, { namespace: NAMESPACE, name: `c${String(number)}` });
  }

  /** What the API server refuses of its own. */
  #refusal(request: FakeRequest): ApiError | undefined {
    const { plural } = request.type;
    if (plural === types.SERVICE_MONITORS.plural && !this.servesServiceMonitors)
      return unknownKind(request);
    if (plural === ATOMIC_CLUSTER.plural && !this.servesAtomicClusters) return unknownKind(request);
    if (plural === types.CLAIMS.plural) return this.#fixedVolume(request);
    return plural === types.STATEFUL_SETS.plural ? this.#fixedTemplates(request) : undefined;
  }

  #fixedVolume({ body }: FakeRequest): ApiError | undefined {
    if (this.volumesMayGrow || specOf(body) === undefined) return undefined;
    return new ApiError('the storageclass must support resize', { code: 403, reason: 'Forbidden' });
  }

  #fixedTemplates({ verb, type, key, body }: FakeRequest): ApiError | undefined {
    const live = key === undefined ? undefined : specOf(this.api.peek(type, key));
    const asked = specOf(body);
    // An apply without them would remove them; a patch without them leaves them.
    const isAsked = verb === 'apply' || (verb === 'patch' && asked?.volumeClaimTemplates);
    if (live === undefined || !isAsked) return undefined;
    if (isDeepStrictEqual(live.volumeClaimTemplates, asked?.volumeClaimTemplates)) return undefined;
    const message = 'updates to volumeClaimTemplates are forbidden';
    return new ApiError(message, { code: 422, reason: 'Invalid' });
  }

  /** A condition of `c0`. */
  condition(type: ConditionType): ReturnType<typeof conditionOf> {
    return conditionOf(this.cluster(0)?.status, type);
  }

  /** Events with this reason, about whatever. */
  events(reason: string): readonly EventObject[] {
    return this.api.peekAll<EventObject>(EVENTS).filter((event) => event.reason === reason);
  }

  /** How many clusters are ready and have nothing left to do. */
  settled(): number {
    return this.api.peekAll<AtomicClusterObject>(ATOMIC_CLUSTER).filter(({ metadata, status }) => {
      const holds = (type: ConditionType, value: string): boolean => {
        const found = conditionOf(status, type);
        return found?.status === value && found.observedGeneration === metadata.generation;
      };
      return holds('Ready', 'True') && holds('Reconciling', 'False');
    }).length;
  }
}

function unknownKind({ verb }: FakeRequest): ApiError | undefined {
  // For clients one that is not found and one of an unknown kind are the same.
  if (verb === 'get') return undefined;
  return new ApiError('page not found', { code: 404, reason: 'NotFound' });
}

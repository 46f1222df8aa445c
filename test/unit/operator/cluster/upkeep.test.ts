import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { KubernetesApi } from '../../../../operator/controller/api-client.ts';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import type { KubernetesObject } from '../../../../operator/controller/kubernetes-object.ts';
import {
  CLAIMS,
  DISRUPTION_BUDGETS,
  NETWORK_POLICIES,
  PODS,
  SERVICE_MONITORS,
  SERVICES,
  STATEFUL_SETS,
} from '../../../../operator/resources/resource-types.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { FakeKubernetes } from '../../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../../support/operator/running-operator.ts';
import { stepUntilSettled } from '../../../support/operator/settling.ts';

type SetObject = KubernetesObject & { readonly spec?: { readonly replicas?: number } };

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const CLUSTER = { namespace: 'demo', name: 'c0' };

let clock: FakeClock;
let kubernetes: FakeKubernetes;
let operator: RunningOperator | undefined;
/** What the API server answers writes of a kind with, by plural. */
let refusals: ReadonlyMap<string, ApiError>;
/** How often it did. */
let refused: number;

beforeEach(() => {
  clock = new FakeClock();
  kubernetes = new FakeKubernetes(clock);
  refusals = new Map();
  refused = 0;
  const { members, api } = kubernetes;
  operator = new RunningOperator({ api: refusing(api), clock, connect: members.connect });
});

afterEach(() => operator?.stop());

function refusing(api: KubernetesApi): KubernetesApi {
  const answer = <T>({ plural }: { readonly plural: string }, write: () => Promise<T>) => {
    const refusal = refusals.get(plural);
    if (refusal === undefined) return write();
    refused++;
    return Promise.reject(refusal);
  };
  return new Proxy(api, {
    get: (target, name: keyof KubernetesApi) => {
      if (name === 'apply')
        return (...args: Parameters<KubernetesApi['apply']>) =>
          answer(args[0], () => target.apply(...args));
      if (name === 'patch')
        return (...args: Parameters<KubernetesApi['patch']>) =>
          answer(args[0], () => target.patch(...args));
      if (name === 'delete')
        return (...args: Parameters<KubernetesApi['delete']>) =>
          answer(args[0], () => target.delete(...args));
      return target[name].bind(target);
    },
  });
}

function refuse(type: { readonly plural: string }, code = 403): void {
  const message = `an admission webhook denied the request for ${type.plural}`;
  refusals = new Map([[type.plural, new ApiError(message, { code })]]);
}

async function settle(): Promise<void> {
  expect(await stepUntilSettled(kubernetes, clock)).toBe(1);
}

function replicas(): number | undefined {
  return kubernetes.api.peek<SetObject>(STATEFUL_SETS, CLUSTER)?.spec?.replicas;
}

/** As `kubectl scale statefulset` does. */
async function scaleByHand(count: number): Promise<void> {
  await kubernetes.api.patch(STATEFUL_SETS, CLUSTER, { body: { spec: { replicas: count } } });
}

describe('a cluster of which one object is refused', () => {
  beforeEach(async () => {
    kubernetes.applyClusters(1, {});
    await settle();
    refuse(NETWORK_POLICIES);
    kubernetes.api.remove(NETWORK_POLICIES, CLUSTER);
    await clock.advance(SECOND_MS);
  });

  it('is healed as ever', async () => {
    await scaleByHand(1);
    await clock.advance(SECOND_MS);
    expect(replicas()).toBe(3);
    expect(kubernetes.cluster(0)?.status?.readyReplicas).toBe(3);
  });

  it('gets all its other objects', async () => {
    kubernetes.api.remove(SERVICES, CLUSTER);
    await clock.advance(SECOND_MS);
    expect(kubernetes.api.peek(SERVICES, CLUSTER)).toBeDefined();
  });

  it('says so in its status, and by one event', async () => {
    await clock.advance(5 * MINUTE_MS);
    expect(kubernetes.condition('Stalled')).toMatchObject({ status: 'True', reason: 'Refused' });
    expect(kubernetes.condition('Stalled')?.message).toContain(
      'denied the request for networkpolicies',
    );
    expect(kubernetes.condition('Available')?.status).toBe('True');
    expect(kubernetes.events('ObjectRefused').map(({ series }) => series)).toEqual([undefined]);
  });

  it('asks again, but not at every look', async () => {
    const before = refused;
    await clock.advance(MINUTE_MS);
    expect(refused - before).toBeGreaterThanOrEqual(4);
    expect(refused - before).toBeLessThanOrEqual(6);
    refusals = new Map();
    await settle();
    expect(kubernetes.api.peek(NETWORK_POLICIES, CLUSTER)).toBeDefined();
  });

  it('says so again when it happens again', async () => {
    refusals = new Map();
    await settle();
    refuse(NETWORK_POLICIES);
    kubernetes.api.remove(NETWORK_POLICIES, CLUSTER);
    await clock.advance(SECOND_MS);
    expect(kubernetes.events('ObjectRefused').map(({ series }) => series?.count)).toEqual([2]);
  });
});

describe('healing', () => {
  it.each([
    ['pods may not be labelled', PODS],
    ['claims may not be marked', CLAIMS],
  ])('goes on while %s', async (_, type) => {
    refuse(type);
    kubernetes.applyClusters(1, {});
    await clock.advance(MINUTE_MS);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(3);
    expect(kubernetes.condition('Stalled')?.reason).toBe('Refused');
    refusals = new Map();
    await settle();
  });

  it.each([409, 429, 503, 504])('goes on while a write is answered with %d', async (code) => {
    kubernetes.applyClusters(1, {});
    await settle();
    refuse(DISRUPTION_BUDGETS, code);
    kubernetes.applyClusters(1, { replicas: 5 });
    await clock.advance(MINUTE_MS);
    expect(kubernetes.cluster(0)?.status?.voters).toBe(5);
    // Not more than about once a second.
    expect(refused).toBeLessThan(130);
    refusals = new Map();
    await settle();
  });

  it('removes a ServiceMonitor in the end, though that was refused once', async () => {
    kubernetes.applyClusters(1, { monitoring: { serviceMonitor: 'Enabled' } });
    await settle();
    expect(kubernetes.api.peekAll(SERVICE_MONITORS)).toHaveLength(1);
    refuse(SERVICE_MONITORS);
    kubernetes.applyClusters(1, {});
    await clock.advance(3 * SECOND_MS);
    expect(kubernetes.api.peekAll(SERVICE_MONITORS)).toHaveLength(1);
    refusals = new Map();
    await clock.advance(MINUTE_MS);
    expect(kubernetes.api.peekAll(SERVICE_MONITORS)).toHaveLength(0);
  });

  it('goes on where an object has just changed, and looks again', async () => {
    kubernetes.applyClusters(1, {});
    await settle();
    refuse(NETWORK_POLICIES, 409);
    kubernetes.api.remove(NETWORK_POLICIES, CLUSTER);
    await scaleByHand(1);
    await clock.advance(5 * SECOND_MS);
    expect(kubernetes.condition('Stalled')?.status).toBe('False');
    refusals = new Map();
    await clock.advance(SECOND_MS);
    expect(replicas()).toBe(3);
    await settle();
  });
});

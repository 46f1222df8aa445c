import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ATOMIC_CLUSTER } from '../../../../operator/api/atomic-cluster.ts';
import type { ConnectReplica } from '../../../../operator/cluster/replicas.ts';
import { EVENTS, type EventObject } from '../../../../operator/controller/event-recorder.ts';
import type { SecretObject } from '../../../../operator/resources/auth-secret.ts';
import { PODS, SECRETS } from '../../../../operator/resources/resource-types.ts';
import { FakeClock } from '../../../support/kubernetes/fake-clock.ts';
import { recordingLogger } from '../../../support/kubernetes/recording-logger.ts';
import { FakeKubernetes } from '../../../support/operator/fake-kubernetes.ts';
import { RunningOperator } from '../../../support/operator/running-operator.ts';
import { stepUntilSettled } from '../../../support/operator/settling.ts';

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const SECRET = { namespace: 'demo', name: 'c0-auth' };
const NEW = 'a-new-secret-of-some-length';

let clock: FakeClock;
let kubernetes: FakeKubernetes;
let operator: RunningOperator | undefined;
let logger: ReturnType<typeof recordingLogger>;
/** What servers accept; everything while undefined. */
let accepted: readonly string[] | undefined;

beforeEach(async () => {
  clock = new FakeClock();
  kubernetes = new FakeKubernetes(clock);
  logger = recordingLogger();
  accepted = undefined;
  start();
  kubernetes.applyClusters(1, {});
  await settle();
});

afterEach(() => operator?.stop());

const connect: ConnectReplica = (address, secret) => {
  const server = kubernetes.members.connect(address, secret);
  const refuses = (): boolean => accepted?.includes(secret()) === false;
  return {
    ...server,
    status: (options) => (refuses() ? Promise.reject(new Error('EACCES')) : server.status(options)),
  };
};

function start(): void {
  operator = new RunningOperator({ api: kubernetes.api, clock, connect, logger });
}

async function settle(): Promise<void> {
  expect(await stepUntilSettled(kubernetes, clock)).toBe(1);
}

function present(): string {
  return atob(kubernetes.api.peek<SecretObject>(SECRETS, SECRET)?.data?.['secret'] ?? '');
}

function write(content: string): void {
  const live = kubernetes.api.peek<SecretObject>(SECRETS, SECRET) ?? { metadata: SECRET };
  const changed: SecretObject = { ...live, data: { secret: btoa(content) } };
  kubernetes.api.put(SECRETS, changed);
}

function readings(): number {
  const { requests } = kubernetes.api;
  return requests.filter(({ verb, type }) => verb === 'get' && type === SECRETS).length;
}

function events(): readonly (string | undefined)[] {
  return kubernetes.api
    .peekAll<EventObject>(EVENTS)
    .filter(({ reason }) => reason === 'SecretMissing')
    .map(({ note }) => note);
}

/** A pod that cannot start, as one whose Secret is missing. */
function breakPod(ordinal: number): void {
  const key = { namespace: 'demo', name: `c0-${String(ordinal)}` };
  const live = kubernetes.api.peek(PODS, key) ?? { metadata: key };
  kubernetes.api.put(PODS, { ...live, ...{ status: { phase: 'Pending' } } });
}

describe('the secret of a cluster', () => {
  it('is read once while all servers accept it', async () => {
    const before = readings();
    await clock.advance(10 * MINUTE_MS);
    expect(readings()).toBe(before);
  });

  it('may be exchanged', async () => {
    const old = present();
    write(`${NEW}\n${old}`);
    accepted = [NEW, old];
    await clock.advance(MINUTE_MS);
    write(NEW);
    accepted = [NEW];
    await clock.advance(MINUTE_MS);
    await settle();
    expect(kubernetes.cluster(0)?.status?.readyReplicas).toBe(3);
  });

  it('is read again, but not at every look, while servers refuse it', async () => {
    const before = readings();
    accepted = [NEW];
    await clock.advance(MINUTE_MS);
    expect(readings() - before).toBeGreaterThanOrEqual(5);
    expect(readings() - before).toBeLessThanOrEqual(7);
    write(NEW);
    await clock.advance(15 * SECOND_MS);
    expect(kubernetes.cluster(0)?.status?.readyReplicas).toBe(3);
  });
});

describe('a secret that was deleted', () => {
  it('is made again as it was, once a pod does not start', async () => {
    const before = present();
    kubernetes.api.remove(SECRETS, SECRET);
    breakPod(2);
    await clock.advance(15 * SECOND_MS);
    expect(present()).toBe(before);
    const owners = kubernetes.api.peek(SECRETS, SECRET)?.metadata.ownerReferences;
    expect(owners?.map(({ uid }) => uid)).toEqual([kubernetes.cluster(0)?.metadata.uid]);
    expect(events()).toEqual([
      'the Secret c0-auth was gone: it was made again with the same content',
    ]);
  });

  it('is another one when nobody remembers it', async () => {
    const before = present();
    await operator?.stop();
    kubernetes.api.remove(SECRETS, SECRET);
    accepted = [];
    start();
    await clock.advance(5 * SECOND_MS);
    expect(present()).not.toBe(before);
    accepted = [present()];
    await settle();
    expect(events()).toHaveLength(1);
  });

  it.each([
    ['the cluster is paused', () => kubernetes.applyClusters(1, { paused: true })],
    ['the cluster is deleted', () => deleteSlowly()],
  ])('stays away while %s', async (_, change) => {
    change();
    await clock.advance(10 * SECOND_MS);
    kubernetes.api.remove(SECRETS, SECRET);
    breakPod(2);
    await clock.advance(MINUTE_MS);
    expect(kubernetes.api.peek(SECRETS, SECRET)).toBeUndefined();
  });

  function deleteSlowly(): void {
    const live = kubernetes.cluster(0) ?? { metadata: { namespace: 'demo', name: 'c0' } };
    const metadata = { ...live.metadata, finalizers: ['example.com/wait'] };
    kubernetes.api.put(ATOMIC_CLUSTER, { ...live, metadata });
    kubernetes.api.remove(ATOMIC_CLUSTER, live.metadata);
  }
});

describe('a Secret that somebody else has made', () => {
  it('is used, and stays theirs', async () => {
    const theirs: SecretObject = {
      metadata: { namespace: 'demo', name: 'c1-auth' },
      data: { secret: btoa(NEW) },
    };
    const before = kubernetes.api.put(SECRETS, theirs);
    accepted = [present(), NEW];
    kubernetes.applyClusters(2, {});
    await clock.advance(MINUTE_MS);
    expect(kubernetes.settled()).toBe(2);
    expect(kubernetes.api.peek(SECRETS, theirs.metadata)).toEqual(before);
  });
});

describe('the log and the events', () => {
  it('never tell a secret', async () => {
    const secrets = [present(), NEW];
    kubernetes.api.remove(SECRETS, SECRET);
    breakPod(2);
    await clock.advance(MINUTE_MS);
    write(NEW);
    accepted = [NEW];
    await clock.advance(MINUTE_MS);
    const told = JSON.stringify([
      logger.lines,
      kubernetes.api.peekAll(EVENTS),
      kubernetes.cluster(0),
    ]);
    for (const secret of secrets) expect(told).not.toContain(secret);
  });
});

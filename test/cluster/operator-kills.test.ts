import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ApiClient } from '../../operator/controller/api-client.ts';
import { createControllerMetrics } from '../../operator/controller/metrics.ts';
import { BareApiServer } from './support/bare-api-server.ts';
import { ClusterView } from './support/cluster-view.ts';
import { KillRun, type CallName, type Stage, type Steps } from './support/kill-run.ts';
import { QuickTime } from './support/quick-time.ts';

const MINUTES = 60_000;
/** Clusters that are at work at the same time. */
const AT_ONCE = 16;
const LOOK_MS = 100;
/** A call that is only repeated while a cache lags does not come in every run. */
const TRIES = 3;

const scaleTo =
  (replicas: number): Steps[number] =>
  (run) =>
    run.changeSpec({ replicas });

/** What only makes ready for the next stage: nobody is killed meanwhile. */
const FIRST_LEADS = 'the first member leads';
const LAST_LEADS = 'the last member leads';

/** Stages of one cluster after the other, in each of which the operator is killed once. */
const LIVES: Readonly<Record<string, Readonly<Record<string, Steps>>>> = {
  'created, rolled, replaced': {
    create: [(run) => run.create(3)],
    roll: [(run) => run.changeSpec({ version: 'v2' })],
    [FIRST_LEADS]: [(run) => run.letLead(0)],
    replace: [(run) => run.loseDiskOf(1)],
  },
  scaled: {
    'create one': [(run) => run.create(1)],
    'scale 1, 3, 5': [scaleTo(3), scaleTo(5)],
    [LAST_LEADS]: [(run) => run.letLead(4)],
    'scale 5, 3, 1': [scaleTo(3), scaleTo(1)],
    'scale 1, 3, 5 on volumes that were members before': [scaleTo(3), scaleTo(5)],
  },
};

const lifetime = new AbortController();
const metrics = createControllerMetrics();
const time = new QuickTime();
const running = new Set<KillRun>();
let server: BareApiServer;
let view: ClusterView;
let runs = 0;

beforeAll(async () => {
  server = await BareApiServer.start();
  const clock = time.clock(lifetime.signal);
  view = new ClusterView(server.connect(), clock);
  await view.follow(lifetime.signal);
  const look = (): void => {
    for (const run of running) run.world.step(time.now());
    clock.after(LOOK_MS, look);
  };
  look();
}, 20 * MINUTES);

afterAll(async () => {
  lifetime.abort();
  time[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

type Life = Readonly<Record<string, Steps>>;

/** Lives one life; the operator is killed in each stage after the call that `kills` has for it. */
async function live(
  life: Life,
  api: ApiClient,
  kills: ReadonlyMap<string, CallName> = new Map(),
): Promise<ReadonlyMap<string, Stage>> {
  const namespace = `run-${String(++runs)}`;
  const run = new KillRun({ api, view, time, metrics, namespace, seed: runs });
  running.add(run);
  try {
    const stages = new Map<string, Stage>();
    for (const [name, steps] of Object.entries(life)) {
      const stage = await run.stage(steps, kills.get(name));
      stages.set(name, stage);
      if (stage.failure !== '') break;
    }
    return stages;
  } finally {
    run.end();
    running.delete(run);
  }
}

type Kill = CallName & { readonly tries: number };

/** The next kill for each stage that still has one. */
function takeKills(points: ReadonlyMap<string, Kill[]>): ReadonlyMap<string, Kill> {
  return new Map(
    [...points].flatMap(([name, calls]) => {
      const next = calls.shift();
      return next === undefined ? [] : [[name, next] as const];
    }),
  );
}

describe.each(Object.entries(LIVES))('a cluster that is %s', (_, life) => {
  it(
    'converges with the operator killed after each of its calls, stage by stage',
    async () => {
      const undisturbed = await live(life, server.connect());
      for (const { failure } of undisturbed.values()) expect(failure).toBe('');
      const points = new Map(
        [...undisturbed]
          .filter(([name]) => name !== FIRST_LEADS && name !== LAST_LEADS)
          .map(([name, { calls }]) => [name, calls.map((call) => ({ ...call, tries: TRIES }))]),
      );
      const notKilled = new Set(
        [...points].flatMap(([name, calls]) => calls.map(({ call }) => `${name}: ${call}`)),
      );
      const work = async (): Promise<void> => {
        const api = server.connect();
        for (let kills = takeKills(points); kills.size > 0; kills = takeKills(points)) {
          for (const [name, { failure, wasKilled }] of await live(life, api, kills)) {
            expect(failure).toBe('');
            const kill = kills.get(name);
            if (kill === undefined) continue;
            if (wasKilled) notKilled.delete(`${name}: ${kill.call}`);
            else if (kill.tries > 1) points.get(name)?.push({ ...kill, tries: kill.tries - 1 });
          }
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      expect([...notKilled]).toEqual([]);
    },
    20 * MINUTES,
  );
});

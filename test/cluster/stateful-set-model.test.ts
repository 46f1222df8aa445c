import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { systemClock } from '../../operator/controller/clock.ts';
import { SimulationRandom } from '../simulation/random.ts';
import { BareApiServer } from './support/bare-api-server.ts';
import { ClusterView } from './support/cluster-view.ts';
import { ModelStage, RealStage, type Step } from './support/stateful-set-stages.ts';

const SCRIPTS = 30;
const STEPS = 8;
const REPLICAS_MAX = 4;
const MINUTES = 60_000;

/** Chooses steps that change something, so that generations can be compared. */
class Script {
  readonly #random: SimulationRandom;
  replicas: number;
  image = 'v1';
  readonly #notReady = new Set<number>();

  constructor(seed: number) {
    this.#random = new SimulationRandom(seed, 'script');
    this.replicas = this.#random.integer(1, REPLICAS_MAX);
  }

  next(): Step {
    const kinds = ['scale', 'changeTemplate', 'orphan', 'deletePod', 'deletePod', 'deleteClaim'];
    const kind = this.replicas === 0 ? 'scale' : this.#random.pick([...kinds, 'setReady']);
    const ordinal = this.#random.integer(0, Math.max(0, this.replicas - 1));
    switch (kind) {
      case 'scale':
        this.replicas = this.#other([0, 1, 2, 3, REPLICAS_MAX], this.replicas);
        return { type: 'scale', replicas: this.replicas };
      case 'changeTemplate':
        this.image = this.#other(['v1', 'v2', 'v3'], this.image);
        return { type: 'changeTemplate', image: this.image };
      case 'orphan':
        this.replicas = this.#random.integer(1, REPLICAS_MAX);
        this.image = this.#other(['v1', 'v2', 'v3'], this.image);
        return { type: 'orphan', replicas: this.replicas, image: this.image };
      case 'deleteClaim':
        return { type: 'deleteClaim', ordinal };
      case 'setReady': {
        const ready = this.#notReady.delete(ordinal);
        if (!ready) this.#notReady.add(ordinal);
        return { type: 'setReady', ordinal, ready };
      }
      default:
        return { type: 'deletePod', ordinal };
    }
  }

  #other<T>(all: readonly T[], than: T): T {
    return this.#random.pick(all.filter((one) => one !== than)) ?? than;
  }
}

describe('the model of the StatefulSet controller', () => {
  const lifetime = new AbortController();
  let server: BareApiServer;
  let view: ClusterView;

  beforeAll(async () => {
    server = await BareApiServer.start();
    view = new ClusterView(server.connect(), systemClock);
    await view.follow(lifetime.signal);
  }, 20 * MINUTES);

  afterAll(async () => {
    lifetime.abort();
    await server[Symbol.asyncDispose]();
  });

  it(
    'leads to the same pods, claims and revisions as the real one',
    async () => {
      const api = server.connect();
      const play = async (seed: number): Promise<void> => {
        const script = new Script(seed);
        const stages = [new ModelStage(seed), new RealStage(api, view, `script-${String(seed)}`)];
        for (const stage of stages) await stage.create(script.replicas, script.image);
        let story = `seed ${String(seed)}, ${String(script.replicas)} replicas`;
        for (let steps = 0; ; steps++) {
          const [model, real] = await Promise.all(stages.map((stage) => stage.settle()));
          expect({ story, ...model }).toEqual({ story, ...real });
          if (steps === STEPS) return;
          const step = script.next();
          story += `\n${JSON.stringify(step)}`;
          for (const stage of stages) await stage.take(step);
        }
      };
      await Promise.all(Array.from({ length: SCRIPTS }, (_, at) => play(at + 1)));
    },
    10 * MINUTES,
  );
});

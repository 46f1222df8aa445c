import type { PeerId } from '../../server/raft/core/ids.ts';
import type { Write, WriteResult } from './checkers/counter-history.ts';
import type { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';

/** What a client asks of a server. */
export type CounterRequest =
  | { readonly type: 'write'; readonly write: Write }
  | { readonly type: 'read'; readonly id: bigint; readonly consistency: 'linearizable' | 'lease' };

/** What it is told. `refused`: certainly not done; `unknown`: perhaps done, perhaps later. */
export type CounterResponse =
  | { readonly type: 'written'; readonly index: number; readonly result: WriteResult }
  | { readonly type: 'read'; readonly value: bigint }
  | { readonly type: 'refused'; readonly leader: PeerId | undefined }
  | { readonly type: 'unknown' };

/** What came of a call; without an answer nothing is known. */
export type CallOutcome = CounterResponse | { readonly type: 'noAnswer' };

/** Takes a request on one server; `undefined` when nothing listens there. */
export type ServerLookup = (
  peer: PeerId,
) => ((request: CounterRequest, respond: (response: CounterResponse) => void) => void) | undefined;

/** The way from the clients to the servers and back. */
export class ClientNetwork {
  lossChance = 0;
  readonly #scheduler: Scheduler;
  readonly #random: SimulationRandom;
  readonly #serverAt: ServerLookup;
  readonly #delayMs: () => number;

  constructor(options: {
    readonly scheduler: Scheduler;
    readonly random: SimulationRandom;
    readonly serverAt: ServerLookup;
    readonly delayMs: () => number;
  }) {
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#serverAt = options.serverAt;
    this.#delayMs = options.delayMs;
  }

  /** Resolves with the answer, or with `noAnswer` after `timeoutMs`. */
  call(peer: PeerId, request: CounterRequest, timeoutMs: number): Promise<CallOutcome> {
    return new Promise((resolve) => {
      const cancelTimeout = this.#scheduler.after(timeoutMs, () => {
        resolve({ type: 'noAnswer' });
      });
      const answer = (response: CounterResponse): void => {
        this.#carry(() => {
          cancelTimeout();
          resolve(response);
        });
      };
      this.#carry(() => {
        const server = this.#serverAt(peer);
        if (server === undefined) answer({ type: 'refused', leader: undefined });
        else server(request, answer);
      });
    });
  }

  #carry(deliver: () => void): void {
    if (!this.#random.chance(this.lossChance)) this.#scheduler.after(this.#delayMs(), deliver);
  }
}

import type { MonotonicMs } from '../../server/raft/core/ids.ts';
import type { Clock } from '../../server/raft/node/clock.ts';
import type { AddressedMessage } from '../../server/raft/transport/transport.ts';
import { letterOf } from './core-cluster.ts';
import type { NodeGroup } from './node-group.ts';

/**
 * The process of one node, whose event loop can stand still: time goes on, but timers fire and
 * messages arrive only when it resumes, the timers first, as in Node's loop.
 */
export class StallingProcess implements Clock {
  readonly #group: NodeGroup;
  #dueTimers: (() => void)[] = [];
  #unread: AddressedMessage[] = [];
  #stalled = false;

  constructor(group: NodeGroup, letter: string) {
    this.#group = group;
    const { deliver } = group.network;
    group.network.deliver = (addressed) => {
      if (!this.#stalled || letterOf(addressed.message.to) !== letter) return deliver(addressed);
      this.#unread.push(addressed);
      return false;
    };
  }

  now(): MonotonicMs {
    return this.#group.clock.now();
  }

  after(delayMs: number, callback: () => void): () => void {
    return this.#group.clock.after(delayMs, () => {
      if (this.#stalled) this.#dueTimers.push(callback);
      else callback();
    });
  }

  afterPendingInput(callback: () => void): void {
    this.#group.clock.afterPendingInput(callback);
  }

  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    for (const callback of this.#dueTimers.splice(0)) callback();
    this.#group.network.transport().send(this.#unread.splice(0));
  }
}

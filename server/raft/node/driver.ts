import type { Effect } from '../core/effect.ts';
import type { Event } from '../core/event.ts';
import type { MonotonicMs } from '../core/ids.ts';
import type { Message } from '../core/message.ts';
import { heartbeatIntervalMs, type RaftState } from '../core/state.ts';
import type { step } from '../core/step.ts';
import type { Clock } from './clock.ts';

/** How many ticks fit into one heartbeat interval. */
const TICKS_PER_HEARTBEAT = 4;

export type DriverPorts = {
  readonly state: RaftState;
  readonly step: typeof step;
  readonly clock: Clock;
  /** Carries out everything but sends, in order, without waiting and without throwing. */
  readonly carryOut: (effect: Exclude<Effect, { type: 'send' }>) => void;
  /** The messages of one turn, in order. */
  readonly send: (messages: readonly Message[]) => void;
  /** The core threw: the program is wrong and the node must stop. */
  readonly onFault: (error: unknown) => void;
};

/**
 * The one loop of a node: every event that has queued up goes through `step`, and its effects are
 * carried out at once, without waiting for disk or network. Events that effects cause join the
 * queue; nothing here is ever re-entered.
 */
export class Driver {
  readonly #ports: DriverPorts;
  #inbox: Event[] = [];
  #outgoing: Message[] = [];
  #turning = false;
  #stopped = false;
  #cancelTick: () => void = () => undefined;

  constructor(ports: DriverPorts) {
    this.#ports = ports;
  }

  /** Starts the ticks. */
  start(): void {
    this.#scheduleTick();
  }

  /** Takes an event; handled before this returns unless the loop is already turning. */
  submit(event: Event): void {
    if (this.#stopped) return;
    this.#inbox.push(event);
    if (!this.#turning) this.#turn();
  }

  /** Messages that may leave now because what they promise is durable. */
  sendNow(messages: readonly Message[]): void {
    if (this.#stopped || messages.length === 0) return;
    if (this.#turning) this.#outgoing.push(...messages);
    else this.#ports.send(messages);
  }

  /** Takes no more events. `last` is still handled, within the running turn if there is one. */
  stop(last?: Event): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancelTick();
    this.#inbox = last === undefined ? [] : [last];
    if (!this.#turning) this.#turn();
  }

  #turn(): void {
    this.#turning = true;
    try {
      for (let event = this.#inbox.shift(); event !== undefined; event = this.#inbox.shift()) {
        this.#handle(event);
      }
      const messages = this.#outgoing;
      this.#outgoing = [];
      if (messages.length > 0) this.#ports.send(messages);
    } catch (error) {
      // The state is not to be trusted any more: not even to resign.
      this.stop();
      this.#ports.onFault(error);
    } finally {
      this.#turning = false;
    }
  }

  #handle(event: Event): void {
    const { state, step: stepCore, carryOut } = this.#ports;
    for (const effect of stepCore(state, event)) {
      if (effect.type === 'send') this.#outgoing.push(effect.message);
      else carryOut(effect);
    }
  }

  #scheduleTick(): void {
    const { clock, state } = this.#ports;
    const interval = Math.max(1, heartbeatIntervalMs(state) / TICKS_PER_HEARTBEAT);
    const planned = clock.now() + interval;
    this.#cancelTick = clock.after(interval, () => {
      const lateByMs = clock.now() - planned;
      if (lateByMs <= heartbeatIntervalMs(state)) {
        this.#tick(clock.now(), 0);
        return;
      }
      // The process slept. What its peers said meanwhile waits in the sockets: hear it first.
      clock.afterPendingInput(() => {
        this.#tick(clock.now(), lateByMs);
      });
    });
  }

  #tick(now: MonotonicMs, lateByMs: number): void {
    if (this.#stopped) return;
    this.submit({ type: 'tick', now, lateByMs });
    this.#scheduleTick();
  }
}

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
    if (this.#turning) return;
    this.#turning = true;
    try {
      this.#turn();
    } finally {
      this.#turning = false;
    }
  }

  /** Messages that may leave now because what they promise is durable. */
  sendNow(messages: readonly Message[]): void {
    if (this.#stopped || messages.length === 0) return;
    if (this.#turning) this.#outgoing.push(...messages);
    else this.#ports.send(messages);
  }

  stop(): void {
    this.#stopped = true;
    this.#inbox = [];
    this.#cancelTick();
  }

  #turn(): void {
    const { state, step: stepCore, carryOut, onFault } = this.#ports;
    for (let event = this.#inbox.shift(); event !== undefined; event = this.#inbox.shift()) {
      let effects: readonly Effect[];
      try {
        effects = stepCore(state, event);
      } catch (error) {
        this.stop();
        onFault(error);
        return;
      }
      for (const effect of effects) {
        if (effect.type === 'send') this.#outgoing.push(effect.message);
        else carryOut(effect);
      }
    }
    if (this.#outgoing.length === 0) return;
    const messages = this.#outgoing;
    this.#outgoing = [];
    this.#ports.send(messages);
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

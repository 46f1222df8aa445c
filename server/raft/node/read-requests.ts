import type { Event, Ticket } from '../core/event.ts';
import type { LogIndex, MonotonicMs } from '../core/ids.ts';
import type { RaftError } from '../error.ts';

type Consistency = 'linearizable' | 'lease';
type Waiter = {
  readonly resolve: (index: LogIndex) => void;
  readonly reject: (e: RaftError) => void;
};
type Batch = { readonly consistency: Consistency; readonly waiters: Waiter[] };
type Ready = { readonly index: LogIndex; readonly byLease: boolean; readonly batch: Batch };

export type ReadPorts = {
  readonly now: () => MonotonicMs;
  readonly newTicket: () => Ticket;
  readonly submit: (event: Event) => void;
  readonly appliedIndex: () => LogIndex;
  readonly isLeaseValid: () => boolean;
};

/**
 * Reads on their way (dissertation §6.4): all reads of one turn share one read event; each is
 * answered when the state machine has applied what its round requires.
 */
export class ReadRequests {
  readonly #ports: ReadPorts;
  readonly #gathering = new Map<Consistency, Batch>();
  readonly #asked = new Map<Ticket, Batch>();
  #ready: Ready[] = [];

  constructor(ports: ReadPorts) {
    this.#ports = ports;
  }

  read(consistency: Consistency): Promise<LogIndex> {
    return new Promise((resolve, reject) => {
      const batch = this.#gathering.get(consistency) ?? this.#gather(consistency);
      batch.waiters.push({ resolve, reject });
    });
  }

  ready(ticket: Ticket, answer: { readonly index: LogIndex; readonly byLease: boolean }): void {
    const batch = this.#asked.get(ticket);
    this.#asked.delete(ticket);
    if (batch === undefined) return;
    this.#ready.push({ ...answer, batch });
    this.applied();
  }

  /** The state machine moved on: answer what it covers. */
  applied(): void {
    if (this.#ready.length === 0) return;
    const applied = this.#ports.appliedIndex();
    const due = this.#ready.filter(({ index }) => index <= applied);
    if (due.length === 0) return;
    this.#ready = this.#ready.filter(({ index }) => index > applied);
    for (const { index, byLease, batch } of due) {
      // The lease may have run out while the entries were applied: ask a quorum after all.
      if (byLease && !this.#ports.isLeaseValid()) this.#ask(batch, 'linearizable');
      else for (const { resolve } of batch.waiters) resolve(index);
    }
  }

  refuse(ticket: Ticket, error: RaftError): boolean {
    const batch = this.#asked.get(ticket);
    this.#asked.delete(ticket);
    for (const { reject } of batch?.waiters ?? []) reject(error);
    return batch !== undefined;
  }

  failAll(error: RaftError): void {
    const batches = [...this.#asked.values(), ...this.#gathering.values()];
    for (const { batch } of this.#ready) batches.push(batch);
    this.#asked.clear();
    this.#gathering.clear();
    this.#ready = [];
    for (const { waiters } of batches) for (const { reject } of waiters) reject(error);
  }

  #gather(consistency: Consistency): Batch {
    const batch: Batch = { consistency, waiters: [] };
    this.#gathering.set(consistency, batch);
    queueMicrotask(() => {
      if (this.#gathering.get(consistency) !== batch) return;
      this.#gathering.delete(consistency);
      this.#ask(batch, consistency);
    });
    return batch;
  }

  #ask(batch: Batch, consistency: Consistency): void {
    const ticket = this.#ports.newTicket();
    this.#asked.set(ticket, batch);
    this.#ports.submit({ type: 'read', now: this.#ports.now(), ticket, consistency });
  }
}

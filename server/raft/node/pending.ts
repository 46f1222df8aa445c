import type { Ticket } from '../core/event.ts';
import type { LogId, LogIndex } from '../core/ids.ts';
import { RaftError } from '../error.ts';

type PendingTask<Context> = {
  readonly context: Context | undefined;
  readonly bytes: number;
  readonly resolve: (id: LogId) => void;
  readonly reject: (error: RaftError) => void;
};

/**
 * Tasks between their proposal and their answer (braft ClosureQueue): by ticket until they have an
 * index, then by index. Every task is answered exactly once.
 */
export class PendingTasks<Context> {
  readonly #byTicket = new Map<Ticket, PendingTask<Context>>();
  readonly #byIndex = new Map<number, PendingTask<Context> & { readonly id: LogId }>();
  readonly #limits: { readonly tasksMax: number; readonly bytesMax: number };
  #bytes = 0;

  constructor(limits: { readonly tasksMax: number; readonly bytesMax: number }) {
    this.#limits = limits;
  }

  size(): number {
    return this.#byTicket.size + this.#byIndex.size;
  }

  /** The oldest task that waits to be committed and applied; 0: none. */
  firstIndex(): number {
    for (const index of this.#byIndex.keys()) return index;
    return 0;
  }

  /** Whether `bytes` more would exceed a bound: the caller refuses the task as busy. */
  isFull(bytes: number): boolean {
    return this.size() >= this.#limits.tasksMax || this.#bytes + bytes > this.#limits.bytesMax;
  }

  add(ticket: Ticket, task: PendingTask<Context>): void {
    this.#byTicket.set(ticket, task);
    this.#bytes += task.bytes;
  }

  proposed(ticket: Ticket, id: LogId): void {
    const task = this.#byTicket.get(ticket);
    if (task === undefined) return;
    this.#byTicket.delete(ticket);
    this.#byIndex.set(id.index, { ...task, id });
  }

  /** False when the ticket is not a task. */
  refuse(ticket: Ticket, error: RaftError): boolean {
    const task = this.#byTicket.get(ticket);
    if (task === undefined) return false;
    this.#byTicket.delete(ticket);
    this.#bytes -= task.bytes;
    task.reject(error);
    return true;
  }

  /** The context of an entry proposed here in that very term. */
  contextAt(id: LogId): Context | undefined {
    const task = this.#byIndex.get(id.index);
    return task?.id.term === id.term ? task.context : undefined;
  }

  /** The entry was applied. A task that had its place in another term was overwritten. */
  applied(id: LogId): void {
    const task = this.#take(id.index);
    if (task?.id.term === id.term) task.resolve(task.id);
    else task?.reject(new RaftError('EPERM', 'leader stepped down', { outcome: 'unknown' }));
  }

  failAt(index: LogIndex, error: RaftError): void {
    this.#take(index)?.reject(error);
  }

  failUpTo(index: LogIndex, error: RaftError): void {
    for (const at of [...this.#byIndex.keys()]) {
      if (at <= index) this.#take(at)?.reject(error);
    }
  }

  /** Leadership is lost: what is not committed may still be, by another leader. */
  failAbove(index: LogIndex, error: RaftError): void {
    for (const at of [...this.#byIndex.keys()]) {
      if (at > index) this.#take(at)?.reject(error);
    }
  }

  /** The node stops: everything is answered. */
  failAll(errorOf: (outcome: 'notProposed' | 'unknown') => RaftError): void {
    for (const ticket of [...this.#byTicket.keys()]) this.refuse(ticket, errorOf('notProposed'));
    for (const index of [...this.#byIndex.keys()]) this.#take(index)?.reject(errorOf('unknown'));
  }

  #take(index: number): (PendingTask<Context> & { readonly id: LogId }) | undefined {
    const task = this.#byIndex.get(index);
    if (task === undefined) return undefined;
    this.#byIndex.delete(index);
    this.#bytes -= task.bytes;
    return task;
  }
}

/** Requests other than tasks (reads, changes, transfers), answered once by ticket. */
export class PendingRequests {
  readonly #requests = new Map<
    Ticket,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: RaftError) => void }
  >();
  readonly #newTicket: () => Ticket;
  #closed: RaftError | undefined;

  constructor(newTicket: () => Ticket) {
    this.#newTicket = newTicket;
  }

  /** A promise that settles when its ticket is answered. */
  open<Answer>(): { readonly ticket: Ticket; readonly promise: Promise<Answer> } {
    const ticket = this.#newTicket();
    const promise = new Promise<Answer>((resolve, reject) => {
      if (this.#closed !== undefined) {
        reject(this.#closed);
        return;
      }
      // The ticket's own effect brings an answer of the type its caller asked for.
      this.#requests.set(ticket, { resolve: resolve as (value: unknown) => void, reject });
    });
    return { ticket, promise };
  }

  resolve(ticket: Ticket, answer: unknown): void {
    const request = this.#requests.get(ticket);
    this.#requests.delete(ticket);
    request?.resolve(answer);
  }

  refuse(ticket: Ticket, error: RaftError): void {
    const request = this.#requests.get(ticket);
    this.#requests.delete(ticket);
    request?.reject(error);
  }

  /** The node stops: everything is answered, and whatever still comes is refused at once. */
  failAll(error: RaftError): void {
    this.#closed ??= error;
    for (const ticket of [...this.#requests.keys()]) this.refuse(ticket, error);
  }
}

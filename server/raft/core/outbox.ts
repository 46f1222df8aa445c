import { assert } from './assert.ts';
import type { Effect } from './effect.ts';
import type { LogEntry } from './entry.ts';
import type { Ticket } from './event.ts';
import type { Incarnation, LogIndex, PeerId } from './ids.ts';
import type { Message, SnapshotMeta } from './message.ts';
import type { Refusal } from './refusal.ts';
import { configurationOfState, type RaftState } from './state.ts';

/**
 * Collects what one step asks of the driver, so that a step makes at most one persist and nothing
 * that promises durability can leave before it (Raft paper, figure 2: "updated on stable storage
 * before responding to RPCs").
 */
export class Outbox {
  readonly #effects: Effect[] = [];
  readonly #entries: LogEntry[] = [];
  readonly #thenSend: Message[] = [];
  #hardStateChanged = false;
  #truncateFrom: LogIndex | undefined;
  #install: { readonly meta: SnapshotMeta; readonly resetLog: boolean } | undefined;
  #configurationChanged = false;

  add(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Sends at once: the message promises nothing about this node's disk. */
  send(message: Message): void {
    // A term or vote changed in this same step: what it leads to must not outrun it.
    if (this.#hardStateChanged) this.#thenSend.push(message);
    else this.#effects.push({ type: 'send', message });
  }

  /** Sends once everything written so far, in this step and before, is durable. */
  sendDurably(message: Message): void {
    this.#thenSend.push(message);
  }

  hardStateChanged(): void {
    this.#hardStateChanged = true;
  }

  /** Entries appended to the in-memory log in this step. */
  append(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      if (entry.kind === 'configuration') this.#configurationChanged = true;
    }
  }

  truncate(from: LogIndex): void {
    assert(this.#truncateFrom === undefined && this.#entries.length === 0, 'two cuts in one step');
    this.#truncateFrom = from;
  }

  install(meta: SnapshotMeta, resetLog: boolean): void {
    this.#install = { meta, resetLog };
    this.#configurationChanged = true;
  }

  configurationChanged(): void {
    this.#configurationChanged = true;
  }

  refuse(ticket: Ticket, refusal: Refusal): void {
    this.#effects.push({ type: 'refused', ticket, refusal });
  }

  note(
    level: 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, string | number | boolean>> = {},
  ): void {
    this.#effects.push({ type: 'note', level, message, fields });
  }

  /** The step's effects: what must become durable first, then the rest in order. */
  finish(state: RaftState): Effect[] {
    const hardState = this.#hardStateChanged ? { hardState: state.hardState } : {};
    const effects: Effect[] = [];
    if (this.#install !== undefined) {
      assert(this.#entries.length === 0, 'entries appended while a snapshot is installed');
      effects.push({ type: 'install', ...this.#install, ...hardState, thenSend: this.#thenSend });
    } else if (this.#mustPersist()) {
      const truncateFrom = this.#truncateFrom;
      const cut = truncateFrom === undefined ? {} : { truncateFrom };
      const write = { entries: this.#entries, ...cut };
      effects.push({ type: 'persist', ...hardState, write, thenSend: this.#thenSend });
    }
    effects.push(...this.#effects);
    if (this.#configurationChanged) {
      const configuration = state.configurations.latest();
      effects.push({ type: 'configurationChanged', configuration });
    }
    return effects;
  }

  #mustPersist(): boolean {
    return (
      this.#hardStateChanged ||
      this.#thenSend.length > 0 ||
      this.#entries.length > 0 ||
      this.#truncateFrom !== undefined
    );
  }
}

/** The ends and the term of a message from this node to `to`. */
export function envelope(
  state: RaftState,
  to: PeerId,
): Pick<Message, 'term' | 'from' | 'fromIncarnation' | 'to' | 'toIncarnation'> {
  return {
    term: state.hardState.term,
    from: state.options.id,
    fromIncarnation: state.options.incarnation,
    to,
    toIncarnation: knownIncarnation(state, to),
  };
}

/** The ends and the term of an answer to `request`. */
export function replyEnvelope(
  state: RaftState,
  request: Message,
): Pick<Message, 'term' | 'from' | 'fromIncarnation' | 'to' | 'toIncarnation'> {
  return { ...envelope(state, request.from), toIncarnation: request.fromIncarnation };
}

/** The disk a peer is bound to, or the one this leader has heard from. */
function knownIncarnation(state: RaftState, peer: PeerId): Incarnation | undefined {
  const bound = configurationOfState(state).incarnations.get(peer);
  if (bound !== undefined || state.role.type !== 'leader') return bound;
  return state.role.progress.get(peer)?.incarnation;
}

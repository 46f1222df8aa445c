import type { AnswerColumns } from './answers.ts';
import { INT64_BYTES } from './int64.ts';
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from './limits.ts';
import { StateHash } from './state-hash.ts';
import type { WriteId } from './write-id.ts';

const SESSION_HASH_SEED = 2;
const ANSWER_HASH_SEED = 3;

/** The answers of serials in a row that were executed together. */
export type AnswerBlock = AnswerColumns & { readonly firstSerial: number };

/** One registered client of exactly-once writes. */
export type Session = {
  readonly id: number;
  lowestUnanswered: number;
  /** Index of the entry that used it last. */
  lastIndex: number;
  /** Ordered by serial, without overlap. */
  blocks: AnswerBlock[];
};

/**
 * The exactly-once table (Raft paper §8, dissertation §6.3): every session's answers from its
 * lowest unanswered serial up, so that a repeat gets the stored answer. Bounded by limits that the
 * log carries; the least recently used session goes first, never by a clock.
 */
export class Sessions {
  /** Least recently used first. */
  readonly #sessions = new Map<number, Session>();
  readonly #sessionHash = new StateHash(SESSION_HASH_SEED);
  readonly #answerHash = new StateHash(ANSWER_HASH_SEED);
  #limits: SessionLimits = DEFAULT_SESSION_LIMITS;
  #answers = 0;

  get limits(): SessionLimits {
    return this.#limits;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Answers kept. */
  get answers(): number {
    return this.#answers;
  }

  /** The four halves of the table's hash: sessions, then answers. */
  hashes(): readonly [StateHash, StateHash] {
    return [this.#sessionHash, this.#answerHash];
  }

  /**
   * The sessions as of now, least recently used first: the order in which `restore` wants them.
   * Blocks are shared: once recorded they never change.
   */
  freeze(): readonly Session[] {
    return Array.from(this.#sessions.values(), (session) => ({
      ...session,
      blocks: session.blocks.slice(),
    }));
  }

  register(index: number, limits: SessionLimits): void {
    this.#limits = limits;
    this.restore({ id: index, lowestUnanswered: 1, lastIndex: index, blocks: [] });
    this.#evict();
  }

  /** Adds a session as the most recently used one. */
  restore(session: Session): void {
    this.#sessions.set(session.id, session);
    hashSession(this.#sessionHash, session, 'add');
    for (const block of session.blocks) this.#count(session, block, 'add');
  }

  /** Sets the limits of a loaded table. */
  restoreLimits(limits: SessionLimits): void {
    this.#limits = limits;
  }

  /**
   * Finds the session of a write, notes its use and forgets answers below the lowest unanswered
   * serial. Undefined when the session is unknown or has already forgotten the serial: then the
   * write must not be executed.
   */
  use(id: WriteId, index: number): Session | undefined {
    const session = this.#sessions.get(id.sessionId);
    if (session === undefined) return undefined;
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
    hashSession(this.#sessionHash, session, 'subtract');
    session.lastIndex = index;
    session.lowestUnanswered = Math.max(session.lowestUnanswered, id.lowestUnanswered);
    hashSession(this.#sessionHash, session, 'add');
    this.#forget(session);
    return id.serial < session.lowestUnanswered ? undefined : session;
  }

  /** Keeps the answers of writes that were just executed; then evicts what is too much. */
  record(session: Session, block: AnswerBlock): void {
    // Its own answers may have been too many: then it is gone, and its repeats expire.
    if (this.#sessions.get(session.id) !== session) return;
    const { blocks } = session;
    const last = blocks.at(-1);
    if (last === undefined || last.firstSerial < block.firstSerial) blocks.push(block);
    else blocks.splice(firstAfter(blocks, block.firstSerial), 0, block);
    this.#count(session, block, 'add');
    this.#evict();
  }

  #forget(session: Session): void {
    const { blocks, lowestUnanswered } = session;
    let gone = 0;
    for (const block of blocks) {
      if (block.firstSerial + block.statuses.length > lowestUnanswered) break;
      this.#count(session, block, 'subtract');
      gone++;
    }
    if (gone > 0) blocks.splice(0, gone);
  }

  #evict(): void {
    for (const session of this.#sessions.values()) {
      const { sessionsMax, answersMax } = this.#limits;
      if (this.#sessions.size <= sessionsMax && this.#answers <= answersMax) return;
      this.#sessions.delete(session.id);
      hashSession(this.#sessionHash, session, 'subtract');
      for (const block of session.blocks) this.#count(session, block, 'subtract');
    }
  }

  #count(session: Session, block: AnswerBlock, change: 'add' | 'subtract'): void {
    const { firstSerial, statuses, oldValues } = block;
    const view = new DataView(oldValues.buffer, oldValues.byteOffset, oldValues.byteLength);
    for (let at = 0; at < statuses.length; at++) {
      this.#answerHash[change](
        session.id | 0,
        (firstSerial + at) | 0,
        view.getInt32(at * INT64_BYTES, true) ^ ((statuses[at] ?? 0) << 30),
        view.getInt32(at * INT64_BYTES + 4, true),
      );
    }
    this.#answers += change === 'add' ? statuses.length : -statuses.length;
  }
}

/** The block that holds `serial`, or undefined; and where the next block starts. */
export function blockAt(
  session: Session,
  serial: number,
): { readonly block: AnswerBlock | undefined; readonly nextStart: number } {
  const after = firstAfter(session.blocks, serial);
  const candidate = session.blocks[after - 1];
  const holds =
    candidate !== undefined && serial < candidate.firstSerial + candidate.statuses.length;
  const nextStart = session.blocks[after]?.firstSerial ?? Number.MAX_SAFE_INTEGER;
  return { block: holds ? candidate : undefined, nextStart };
}

/** Position of the first block that starts above `serial`. */
function firstAfter(blocks: readonly AnswerBlock[], serial: number): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((blocks[middle]?.firstSerial ?? 0) > serial) high = middle;
    else low = middle + 1;
  }
  return low;
}

function hashSession(hash: StateHash, session: Session, change: 'add' | 'subtract'): void {
  const { id, lowestUnanswered, lastIndex } = session;
  hash[change](id | 0, Math.floor(id / 2 ** 32), lowestUnanswered | 0, lastIndex | 0);
}

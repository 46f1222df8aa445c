import type { WriteNumbers } from './batch.ts';

/**
 * How far serials may run ahead of the lowest unanswered one. The servers keep the answers of all
 * of them, and evict a session that asks for more than they are willing to keep.
 */
const SERIALS_AHEAD_MAX = 1_024;

/**
 * The serials of one exactly-once session: rising from 1, and which of them still wait for their
 * answer. The servers keep answers from the lowest of those up.
 */
export class WriteNumbering {
  readonly sessionId: number;
  #nextSerial = 1;
  /** First serial of each unanswered batch; insertion order is rising. */
  readonly #unanswered = new Set<number>();

  constructor(sessionId: number) {
    this.sessionId = sessionId;
  }

  /** Serials for a batch of `count` writes. */
  take(count: number): WriteNumbers {
    const firstSerial = this.#nextSerial;
    this.#nextSerial += count;
    this.#unanswered.add(firstSerial);
    return { sessionId: this.sessionId, firstSerial };
  }

  /** How many more serials may be taken now. */
  get room(): number {
    return SERIALS_AHEAD_MAX - (this.#nextSerial - this.lowestUnanswered);
  }

  /** The batch will not be sent again. */
  release(numbers: WriteNumbers): void {
    this.#unanswered.delete(numbers.firstSerial);
  }

  /** Serials below this one will never be repeated. */
  get lowestUnanswered(): number {
    const [lowest] = this.#unanswered;
    return lowest ?? this.#nextSerial;
  }
}

import { DONE, MISMATCH, type Answers } from './answers.ts';
import { EXCHANGE, type Section } from './command.ts';
import { CounterMap } from './counter-map.ts';
import { INT64_BYTES } from './int64.ts';
import { Sessions, blockAt, type Session } from './sessions.ts';
import { StateHash } from './state-hash.ts';

const COMBINED_HASH_SEED = 4;

/** Some operations in a row of a section, and where their answers go. */
type Run = { readonly first: number; readonly count: number; readonly answersAt: number };

/**
 * All that is replicated: the counters and the exactly-once table. What a write does depends on
 * nothing but this state and the entry, so that every member comes to the same.
 */
export class AtomicState {
  readonly counters: CounterMap;
  readonly sessions = new Sessions();

  /** @param capacity - counters to make room for at the start. */
  constructor(capacity = 0) {
    this.counters = new CounterMap(capacity);
  }

  /** 64-bit hash of everything in here. */
  hash(): bigint {
    const combined = new StateHash(COMBINED_HASH_SEED);
    const [sessions, answers] = this.sessions.hashes();
    const { low, high } = this.counters.hash;
    const { sessionsMax, answersMax } = this.sessions.limits;
    combined.add(low, high, this.counters.size, 0);
    combined.add(sessions.low, sessions.high, this.sessions.size, 1);
    combined.add(answers.low, answers.high, this.sessions.answers, 2);
    combined.add(sessionsMax, answersMax, 0, 3);
    return combined.value();
  }

  /** Executes all sections of a batch in order; the entry is at `index`. */
  applyBatch(sections: readonly Section[], index: number, answers: Answers): void {
    let answersAt = 0;
    for (const [number, section] of sections.entries()) {
      const run = { first: 0, count: section.count, answersAt };
      if (section.writeId === undefined) this.#execute(section, run, answers);
      else if (!this.#executeOnce(section, run, { index, answers })) answers.expire(number);
      answersAt += section.count;
    }
  }

  /** False when the session has expired; nothing was executed then. */
  #executeOnce(
    section: Section,
    whole: Run,
    { index, answers }: { readonly index: number; readonly answers: Answers },
  ): boolean {
    const { writeId } = section;
    const session = writeId === undefined ? undefined : this.sessions.use(writeId, index);
    if (writeId === undefined || session === undefined) return false;
    let first = 0;
    while (first < whole.count) {
      const serial = writeId.serial + first;
      const answersAt = whole.answersAt + first;
      const { block, nextStart } = blockAt(session, serial);
      const end = block === undefined ? nextStart : block.firstSerial + block.statuses.length;
      const count = Math.min(whole.count - first, end - serial);
      if (block !== undefined) {
        answers.copyFrom(block, serial - block.firstSerial, { at: answersAt, count });
      } else {
        this.#execute(section, { first, count, answersAt }, answers);
        this.#record(session, serial, answers.columns(answersAt, count));
      }
      first += count;
    }
    return true;
  }

  #record(session: Session, firstSerial: number, kept: ReturnType<Answers['columns']>): void {
    const statuses = kept.statuses.slice();
    this.sessions.record(session, { firstSerial, statuses, oldValues: kept.oldValues.slice() });
  }

  #execute(section: Section, run: Run, answers: Answers): void {
    const { view, kindsAt, idsAt, expectedAt, newAt } = section;
    const { counters } = this;
    const end = run.first + run.count;
    for (let at = run.first, answer = run.answersAt; at < end; at++, answer++) {
      const offset = at * INT64_BYTES;
      counters.find(view.getInt32(idsAt + offset, true), view.getInt32(idsAt + offset + 4, true));
      const oldLow = counters.valueLow;
      const oldHigh = counters.valueHigh;
      const matches =
        view.getUint8(kindsAt + at) === EXCHANGE ||
        (view.getInt32(expectedAt + offset, true) === oldLow &&
          view.getInt32(expectedAt + offset + 4, true) === oldHigh);
      answers.set(answer, matches ? DONE : MISMATCH, oldLow, oldHigh);
      // A failed compare-exchange leaves an absent id absent.
      if (!matches) continue;
      counters.store(view.getInt32(newAt + offset, true), view.getInt32(newAt + offset + 4, true));
    }
  }
}

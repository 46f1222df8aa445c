import type { LogEntry } from '../../../server/raft/core/entry.ts';
import type { LogId, PeerId } from '../../../server/raft/core/ids.ts';
import { entryHash } from './entry-hash.ts';
import { check } from './violation.ts';

type Known = { readonly entry: LogEntry; readonly hash: number; readonly previousTerm: number };

/**
 * Two entries with the same index and term are equal, and so is everything before them (§5.3): by
 * induction it is enough that they agree on their content and on the term of the entry before.
 */
export class LogMatching {
  readonly #known: (Known[] | undefined)[] = [];

  /** `server` puts `entry` into its log after an entry of `previousTerm`. */
  entryWritten(server: PeerId, entry: LogEntry, previousTerm: number): void {
    const { index, term } = entry.id;
    const hash = entryHash(entry);
    const variants = (this.#known[index] ??= []);
    const known = variants.find((one) => one.entry.id.term === term);
    if (known === undefined) {
      variants.push({ entry, hash, previousTerm });
      return;
    }
    check(
      known.hash === hash,
      'log matching',
      () => `${server} holds another entry ${term}/${index} than the rest`,
    );
    check(
      known.previousTerm === previousTerm,
      'log matching',
      () =>
        `before ${term}/${index} ${server} has an entry of term ${previousTerm}, ` +
        `others one of term ${known.previousTerm}`,
    );
  }

  /** A log gave `entry` back when it was read: it must be what was written there. */
  entryRead(server: PeerId, entry: LogEntry): void {
    const known = this.#find(entry.id);
    check(
      known?.hash === entryHash(entry),
      'log matching',
      () => `the log of ${server} returned another entry ${entry.id.term}/${entry.id.index}`,
    );
  }

  /** The entry with this id, when any server has written it. */
  entry(id: LogId): LogEntry | undefined {
    return this.#find(id)?.entry;
  }

  #find({ term, index }: LogId): Known | undefined {
    return this.#known[index]?.find((one) => one.entry.id.term === term);
  }
}

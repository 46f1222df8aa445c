import type { PeerId } from '../../../server/raft/core/ids.ts';
import type { CommittedLog } from './committed-log.ts';
import { bytesHash } from './entry-hash.ts';
import { check } from './violation.ts';

const RULE = 'state machine safety';

/**
 * If a server has applied an entry at an index, no other server applies another one there (figure
 * 3); each applies in order, and equal indexes have equal states, also after a snapshot.
 */
export class StateMachineSafety {
  readonly #committed: CommittedLog;
  readonly #stateHashes = new Map<number, { readonly hash: string; readonly by: PeerId }>();

  constructor(committed: CommittedLog) {
    this.#committed = committed;
  }

  /** `server`, which had applied up to `previousIndex`, applies `data` at `index`. */
  applied(
    server: PeerId,
    entry: { readonly index: number; readonly previousIndex: number; readonly data: Uint8Array },
  ): void {
    const { index, previousIndex } = entry;
    check(index > previousIndex, RULE, () => `${server} applies ${index} after ${previousIndex}`);
    const committed = this.#committed.at(index);
    check(committed !== undefined, RULE, () => `${server} applies ${index}, not committed yet`);
    check(
      committed.entry.kind === 'data' && committed.hash === bytesHash(entry.data),
      RULE,
      () => `${server} applies something else at ${index} than was committed there`,
    );
    for (let skipped = previousIndex + 1; skipped < index; skipped++) {
      check(
        this.#committed.at(skipped)?.entry.kind !== 'data',
        RULE,
        () => `${server} skips the data at ${skipped}`,
      );
    }
  }

  /** The state of `server` after the last data entry at or below `index` has this hash. */
  stateReached(server: PeerId, index: number, hash: string): void {
    const known = this.#stateHashes.get(index);
    if (known === undefined) {
      this.#stateHashes.set(index, { hash, by: server });
      return;
    }
    check(
      known.hash === hash,
      RULE,
      () => `after ${index} the state of ${server} is ${hash}, that of ${known.by} ${known.hash}`,
    );
  }
}

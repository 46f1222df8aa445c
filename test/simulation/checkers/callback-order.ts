import { check } from './violation.ts';

const RULE = 'callback order';

/** The order in which a node may call its state machine (braft's guarantees), for one process. */
export class CallbackOrder {
  readonly #name: string;
  #leaderTerm: number | undefined;
  #lastLeaderTerm = 0;
  #failed = false;
  #shutDown = false;
  #appliedIndex = 0;

  constructor(name: string) {
    this.#name = name;
  }

  appliedIndex(): number {
    return this.#appliedIndex;
  }

  applied(index: number): void {
    this.#checkAlive('applies');
    this.#appliedIndex = index;
  }

  snapshotLoaded(index: number): void {
    this.#checkAlive('loads a snapshot');
    check(this.#leaderTerm === undefined, RULE, () => `${this.#name} loads a snapshot as leader`);
    check(
      index >= this.#appliedIndex,
      RULE,
      () => `${this.#name} loads a snapshot at ${index} after applying ${this.#appliedIndex}`,
    );
    this.#appliedIndex = index;
  }

  /** `pendingOlderTerm`: an entry of an older term that is not applied yet, when there is one. */
  leaderStarted(term: number, pendingOlderTerm: number | undefined): void {
    this.#checkAlive('starts to lead');
    check(
      this.#leaderTerm === undefined,
      RULE,
      () => `${this.#name} starts term ${term} before it stopped ${String(this.#leaderTerm)}`,
    );
    // The same term again: a transfer failed, and the leader goes on (braft).
    check(
      term >= this.#lastLeaderTerm,
      RULE,
      () => `${this.#name} starts term ${term} after ${this.#lastLeaderTerm}`,
    );
    check(
      pendingOlderTerm === undefined,
      RULE,
      () => `${this.#name} starts term ${term} before ${String(pendingOlderTerm)} is applied`,
    );
    this.#leaderTerm = term;
    this.#lastLeaderTerm = term;
  }

  /** Also without a start before it: a leader may stop before its first entry is committed. */
  leaderStopped(): void {
    this.#leaderTerm = undefined;
  }

  failed(): void {
    check(!this.#failed, RULE, () => `${this.#name} reports two errors`);
    this.#failed = true;
  }

  shutDown(): void {
    check(!this.#shutDown, RULE, () => `${this.#name} shuts down twice`);
    this.#shutDown = true;
  }

  #checkAlive(what: string): void {
    check(!this.#failed, RULE, () => `${this.#name} ${what} after an error`);
    check(!this.#shutDown, RULE, () => `${this.#name} ${what} after its shutdown`);
  }
}

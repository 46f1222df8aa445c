/** Checkpoints of which the hash is kept. */
const CHECKPOINTS_MAX = 16;

/** The hashes of this member's state at the latest checkpoints, and what the group made of them. */
export class CheckpointLog {
  readonly #hashes = new Map<number, bigint>();
  #lastVerdictIndex = 0;

  /** Index of the last entry that held a verdict. */
  get lastVerdictIndex(): number {
    return this.#lastVerdictIndex;
  }

  note(index: number, hash: bigint): void {
    this.#hashes.set(index, hash);
    for (const oldest of this.#hashes.keys()) {
      if (this.#hashes.size <= CHECKPOINTS_MAX) return;
      this.#hashes.delete(oldest);
    }
  }

  /** The hash noted at a checkpoint, while it is kept. */
  hashAt(index: number): bigint | undefined {
    return this.#hashes.get(index);
  }

  /** Says what is wrong when this member's hash is not the majority's; it must stop then. */
  judge(verdict: {
    readonly index: number;
    readonly hash: bigint;
    readonly verdictIndex: number;
  }): string | undefined {
    const { index, hash, verdictIndex } = verdict;
    const own = this.#hashes.get(index);
    if (own !== undefined && own !== hash) {
      return (
        `the state at index ${index} differs from that of the majority ` +
        `(hash ${own.toString(16)} instead of ${hash.toString(16)}): this member's data is ` +
        'damaged; remove it from the group, empty its data directory and add it again'
      );
    }
    this.#lastVerdictIndex = verdictIndex;
    return undefined;
  }

  /** The state was replaced by a snapshot. */
  clear(): void {
    this.#hashes.clear();
  }
}

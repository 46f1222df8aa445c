import type { Clock, Logger, NodeApi, PeerId } from '../raft/index.ts';
import { encodeCheckpoint, encodeVerdict } from './command.ts';
import type { Proposal } from './proposal.ts';
import type { AtomicStateMachine } from './state-machine.ts';

export type SelfCheckOptions = {
  readonly node: Pick<NodeApi<Proposal>, 'apply' | 'isLeader' | 'listPeers' | 'peer'>;
  readonly stateMachine: AtomicStateMachine;
  /**
   * Asks a member for the hash it noted at a checkpoint; undefined while it has none. May reject
   * when the member cannot be reached.
   */
  readonly fetchHash: (peer: PeerId, index: number) => Promise<bigint | undefined>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly intervalMs?: number; // 60_000
  /** Between questions to a member that has not applied the checkpoint yet. */
  readonly retryMs?: number; // 500
  /** Questions to one member before it is left out. */
  readonly attemptsMax?: number; // 10
};

/** What came of one check. */
export type SelfCheckOutcome =
  | { readonly type: 'skipped'; readonly reason: 'notLeader' | 'unchanged' }
  | { readonly type: 'noMajority'; readonly index: number }
  | {
      readonly type: 'judged';
      readonly index: number;
      /** Voters that noted another hash than the majority. */
      readonly differing: readonly PeerId[];
    };

/**
 * Finds members whose state has silently gone another way. The leader writes a checkpoint, at which
 * each member notes the hash of its state; asks the voters for theirs; and writes the hash that a
 * majority of all voters agrees on as a verdict. A member that noted another one stops when it
 * applies the verdict, also if it was not reachable when the leader asked.
 */
export class SelfCheck {
  readonly #options: SelfCheckOptions;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(options: SelfCheckOptions) {
    this.#options = options;
  }

  /** Checks again and again, until closed. */
  start(): void {
    const { clock, logger, intervalMs = 60_000 } = this.#options;
    if (this.#closed) return;
    this.#cancel = clock.after(intervalMs, () => {
      this.run()
        .catch((error: unknown) => {
          // Losing leadership meanwhile is no fault; the next leader checks.
          const reason = error instanceof Error ? error.message : String(error);
          logger.debug('the state was not checked', { reason });
        })
        .finally(() => {
          this.start();
        });
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  /**
   * One check, if this node leads and something was written since the last one.
   *
   * @throws RaftError when leadership is lost meanwhile.
   */
  async run(): Promise<SelfCheckOutcome> {
    const { node, stateMachine, logger } = this.#options;
    const term = stateMachine.leaderTerm;
    if (term === undefined || !node.isLeader()) return { type: 'skipped', reason: 'notLeader' };
    if (!stateMachine.changedSinceVerdict) return { type: 'skipped', reason: 'unchanged' };
    const { index } = await node.apply({ data: encodeCheckpoint(), expectedTerm: term });
    const voters = node.listPeers();
    const hashes = await this.#collect(voters, index);
    const hash = majorityHash(hashes, voters.length);
    if (hash === undefined) {
      const answers = hashes.size;
      logger.error('no majority agrees on the state', { index, answers, voters: voters.length });
      return { type: 'noMajority', index };
    }
    const differing = voters.filter((peer) => (hashes.get(peer) ?? hash) !== hash);
    if (differing.length > 0) {
      const peers = differing.join(',');
      logger.error('the state of members differs from the majority', { index, peers });
    }
    await node.apply({ data: encodeVerdict(index, hash), expectedTerm: term });
    return { type: 'judged', index, differing };
  }

  async #collect(voters: readonly PeerId[], index: number): Promise<ReadonlyMap<PeerId, bigint>> {
    const hashes = new Map<PeerId, bigint>();
    await Promise.all(
      voters.map(async (peer) => {
        const hash = await this.#hashOf(peer, index);
        if (hash !== undefined) hashes.set(peer, hash);
      }),
    );
    return hashes;
  }

  async #hashOf(peer: PeerId, index: number): Promise<bigint | undefined> {
    const { node, stateMachine, fetchHash, clock, logger } = this.#options;
    if (peer === node.peer) return stateMachine.checkpoints.hashAt(index);
    const { retryMs = 500, attemptsMax = 10 } = this.#options;
    for (let attempt = 1; attempt <= attemptsMax && !this.#closed; attempt++) {
      try {
        const hash = await fetchHash(peer, index);
        if (hash !== undefined) return hash;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        logger.debug('a member did not tell its hash', { peer, reason });
      }
      if (attempt < attemptsMax) await pause(clock, retryMs);
    }
    return undefined;
  }
}

/** The hash that more than half of all voters noted. */
function majorityHash(hashes: ReadonlyMap<PeerId, bigint>, voters: number): bigint | undefined {
  const counts = new Map<bigint, number>();
  for (const hash of hashes.values()) {
    const count = (counts.get(hash) ?? 0) + 1;
    if (count > voters / 2) return hash;
    counts.set(hash, count);
  }
  return undefined;
}

function pause(clock: Clock, durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(durationMs, resolve);
  });
}

import type { PeerId, Term } from '../../../server/raft/core/ids.ts';
import type { Message } from '../../../server/raft/core/message.ts';
import { check } from './violation.ts';

/** At most one leader can be elected in a given term (§5.2), across restarts. */
export class ElectionSafety {
  readonly #leaders = new Map<Term, PeerId>();
  #changes = 0;
  #latestTerm = 0;

  /** Only a leader sends these; whoever sends one claims to lead its term. */
  messageSent(message: Message): void {
    switch (message.type) {
      case 'appendRequest':
      case 'heartbeatRequest':
      case 'installSnapshotRequest':
      case 'timeoutNow':
        this.leads(message.from, message.term);
        break;
      case 'voteRequest':
      case 'voteResponse':
      case 'appendResponse':
      case 'heartbeatResponse':
      case 'installSnapshotResponse':
        break;
    }
  }

  /** `peer` acts as the leader of `term`. */
  leads(peer: PeerId, term: Term): void {
    const leader = this.#leaders.get(term);
    if (leader === peer) return;
    check(
      leader === undefined,
      'election safety',
      () => `${peer} leads term ${term}, and so does ${String(leader)}`,
    );
    this.#leaders.set(term, peer);
    if (term > this.#latestTerm) {
      if (this.#latestTerm > 0) this.#changes++;
      this.#latestTerm = term;
    }
  }

  /** How often a leader followed another, by term. */
  changes(): number {
    return this.#changes;
  }

  leaderOf(term: Term): PeerId | undefined {
    return this.#leaders.get(term);
  }
}

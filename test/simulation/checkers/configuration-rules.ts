import type { LogEntry } from '../../../server/raft/core/entry.ts';
import type { PeerId } from '../../../server/raft/core/ids.ts';
import { peersText } from '../../../server/raft/core/peer-id.ts';
import type { Configuration } from '../../../server/raft/core/membership.ts';
import { check } from './violation.ts';

const RULE = 'configuration';

/**
 * The rules of membership changes (dissertation §4.1, §4.3), checked on the committed entries in
 * order: between two configurations every pair of quorums intersects, and joint consensus ends in
 * what it was heading for.
 */
export class ConfigurationRules {
  #last: Configuration;
  #changes = 0;

  constructor(initial: Configuration) {
    this.#last = initial;
  }

  /** The newest committed configuration. */
  latest(): Configuration {
    return this.#last;
  }

  /** How often the voters or learners were others than before, joint configurations included. */
  changes(): number {
    return this.#changes;
  }

  committed(entry: LogEntry): void {
    if (entry.kind !== 'configuration') return;
    const next = entry.configuration.configuration;
    const previous = this.#last;
    const at = entry.id.index;
    check(next.voters.size > 0, RULE, () => `the configuration at ${at} has no voters`);
    if (previous.outgoing === undefined) checkEntering(previous, next, at);
    else checkLeaving(previous, next, at);
    if (membersText(previous) !== membersText(next)) this.#changes++;
    this.#last = next;
  }
}

function membersText({ voters, outgoing, learners }: Configuration): string {
  return [voters, outgoing ?? [], learners].map(peersText).join('; ');
}

function checkEntering(previous: Configuration, next: Configuration, at: number): void {
  if (next.outgoing !== undefined) {
    check(
      same(next.outgoing, previous.voters),
      RULE,
      () =>
        `joint consensus at ${at} leaves ${peersText(next.outgoing ?? [])}, which is not in force`,
    );
    return;
  }
  const changed =
    [...next.voters].filter((peer) => !previous.voters.has(peer)).length +
    [...previous.voters].filter((peer) => !next.voters.has(peer)).length;
  check(changed <= 1, RULE, () => `the configuration at ${at} changes ${changed} voters at once`);
}

function checkLeaving(previous: Configuration, next: Configuration, at: number): void {
  check(
    same(next.voters, previous.voters),
    RULE,
    () => `joint consensus was to end with ${peersText(previous.voters)}, and did not at ${at}`,
  );
  check(
    next.outgoing === undefined || same(next.outgoing, previous.outgoing ?? new Set()),
    RULE,
    () => `a second joint configuration at ${at} before the first was left`,
  );
}

function same(a: ReadonlySet<PeerId>, b: ReadonlySet<PeerId>): boolean {
  return peersText(a) === peersText(b);
}

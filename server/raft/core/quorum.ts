import { assert } from './assert.ts';
import type { PeerId } from './ids.ts';
import type { Configuration } from './membership.ts';

type Voters = Pick<Configuration, 'voters' | 'outgoing'>;

/**
 * The highest value that every required majority has reached: with match indexes, what a leader may
 * commit (§5.3); with acknowledged rounds, what it may read (dissertation §6.4). In joint
 * consensus both halves must have reached it (§6).
 */
export function quorumValue(configuration: Voters, valueOf: (peer: PeerId) => number): number {
  const incoming = majorityValue(configuration.voters, valueOf);
  if (configuration.outgoing === undefined) return incoming;
  return Math.min(incoming, majorityValue(configuration.outgoing, valueOf));
}

/** Whether the peers that satisfy `holds` form every required majority. */
export function hasQuorum(configuration: Voters, holds: (peer: PeerId) => boolean): boolean {
  return quorumValue(configuration, (peer) => (holds(peer) ? 1 : 0)) === 1;
}

function majorityValue(voters: ReadonlySet<PeerId>, valueOf: (peer: PeerId) => number): number {
  assert(voters.size > 0, 'a quorum of no voters');
  const descending = Array.from(voters, valueOf).sort((a, b) => b - a);
  // In a descending list the middle element is reached by itself and all before it: a majority.
  const value = descending[Math.floor(voters.size / 2)];
  assert(value !== undefined, 'majority position out of range');
  return value;
}

import { createHash } from 'node:crypto';
import { Lineage, type PeerId } from '../core/ids.ts';
import { peersText } from '../core/peer-id.ts';

/** The history that begins when a group first starts: the same on every member given `voters`. */
export function firstLineage(group: string, voters: ReadonlySet<PeerId>): Lineage {
  return digest(`first\n${group}\n${peersText(voters)}`);
}

/** The history that begins with a reset: survivors that are given the same voters agree on it. */
export function lineageAfterReset(
  before: Lineage | undefined,
  voters: ReadonlySet<PeerId>,
): Lineage {
  return digest(`reset\n${before ?? ''}\n${peersText(voters)}`);
}

function digest(text: string): Lineage {
  return Lineage(createHash('sha256').update(text).digest('hex').slice(0, 32));
}

import type { LogEntry } from '../../../server/raft/core/entry.ts';
import { peersText } from '../../../server/raft/core/peer-id.ts';
import { textHash } from '../random.ts';

/** What an entry says, as 32 bits: equal entries have equal hashes. */
export function entryHash(entry: LogEntry): number {
  switch (entry.kind) {
    case 'noOp':
      return 1;
    case 'data':
      return bytesHash(entry.data);
    case 'configuration': {
      const { voters, outgoing, learners, incarnations } = entry.configuration.configuration;
      const bound = [...incarnations].map(([peer, incarnation]) => `${peer}=${incarnation}`).sort();
      return textHash(
        [peersText(voters), peersText(outgoing ?? []), peersText(learners), ...bound].join(';'),
      );
    }
  }
}

/** FNV-1a of bytes, as 32 unsigned bits. */
export function bytesHash(bytes: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}

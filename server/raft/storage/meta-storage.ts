import type { HardState } from '../core/event.ts';

/** Term and vote on disk, replaced atomically (braft RaftMetaStorage). */
export type MetaStorage = {
  /** What was stored when opened; term 1 and no vote when nothing was (as braft). */
  readonly recovered: HardState;
  /** Resolves once durable. One call at a time. @throws RaftError EIO. */
  save(hardState: HardState): Promise<void>;
};

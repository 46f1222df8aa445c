import type { Answers } from './answers.ts';

/**
 * What the service attaches to an entry that it proposes: the state machine of the same process
 * fills it in when the entry is applied.
 */
export type Proposal = {
  /** The answers of a batch, in the order of its operations. */
  readonly answers?: Answers;
  /** Set when the entry has been applied. */
  applied: boolean;
};

/** Names the first write of a run of exactly-once writes; the serials of the others follow on. */
export type WriteId = {
  readonly sessionId: number;
  readonly serial: number;
  /** Answers of serials below this one may be forgotten; at most `serial`. */
  readonly lowestUnanswered: number;
};

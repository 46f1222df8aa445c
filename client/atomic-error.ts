/** Why a call failed. Callers branch on `code` and `outcome`; the message is for people. */
export type AtomicErrorCode =
  | 'invalidArgument' // The call makes no sense; nothing was sent.
  | 'timeout' // The deadline passed first.
  | 'cancelled' // The caller's AbortSignal fired.
  | 'connectionLost' // The stream broke while the call was under way.
  | 'lostLeadership' // The server proposed the write but cannot say whether it will be kept.
  | 'busy' // A bounded queue is full.
  | 'sessionExpired' // The group has forgotten the exactly-once session of this write.
  | 'refused' // The server will not do this, however often it is asked.
  | 'closed'; // The client was closed.

/**
 * Whether a failed call had an effect. `notProposed`: certainly none, so it may be repeated (a read
 * never has one). `unknown`: it may have happened or may still happen; repeat only what is idempotent.
 */
export type Outcome = 'notProposed' | 'unknown';

/** A failed get, exchange or compare-exchange. */
export class AtomicError extends Error {
  override readonly name = 'AtomicError';
  readonly code: AtomicErrorCode;
  readonly outcome: Outcome;
  /** The name of the Raft error behind it, as in braft (EPERM, EBUSY, ...), when a server gave one. */
  readonly reason: string | undefined;

  constructor(
    code: AtomicErrorCode,
    message: string,
    details: { outcome?: Outcome; reason?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.outcome = details.outcome ?? 'notProposed';
    this.reason = details.reason;
  }
}

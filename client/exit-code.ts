import { AtomicError } from './atomic-error.ts';
import { MembershipError } from './membership-error.ts';

/** What the commands end with; `--help` lists them. */
export const EXIT = {
  done: 0,
  badInput: 2,
  failed: 3,
  unknownOutcome: 4,
  mismatch: 5,
  violation: 6,
  timedOut: 110,
  interrupted: 130,
  braftFailure: 255,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    done
  2    wrong arguments; nothing was sent
  3    failed, certainly without effect
  4    failed, and whether it took effect is unknown
  5    a compare-exchange found another value (get, exchange, cas, test)
  6    a recorded history breaks a promise (bench --verify)
  110  timed out (test)
  130  interrupted twice
  255  failed or wrong arguments (admin, test); the counter is not what it must be (count)
`;

/** A command that cannot go on; printed as one sentence. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The sentence and the code for a failed command. Anything unforeseen is a fault: rethrown. */
export function endOf(error: unknown): { readonly message: string; readonly exitCode: number } {
  if (error instanceof CommandError) return error;
  if (error instanceof MembershipError) {
    return { message: `${error.code}: ${error.message}`, exitCode: EXIT.braftFailure };
  }
  if (!(error instanceof AtomicError)) throw error;
  const { message, code, outcome } = error;
  if (code === 'invalidArgument') return { message, exitCode: EXIT.badInput };
  if (outcome === 'unknown') {
    const hint = 'it may have taken effect: read the value before you repeat it';
    return { message: `${message}; ${hint}`, exitCode: EXIT.unknownOutcome };
  }
  return { message, exitCode: EXIT.failed };
}

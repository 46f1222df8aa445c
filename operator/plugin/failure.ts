import { MembershipError } from '../../client/index.ts';
import { ApiError } from '../controller/api-error.ts';

/** A command that cannot do what it was asked for; printed as one sentence. Exit code 1. */
export class PluginError extends Error {
  override readonly name = 'PluginError';
}

/** What the person typed makes no sense. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The sentence and the exit code for what ended a command; undefined for faults in the program. */
export function endOf(
  error: unknown,
): { readonly message: string; readonly exitCode: 1 | 2 } | undefined {
  if (error instanceof UsageError) return { message: `${error.message}; see --help`, exitCode: 2 };
  if (error instanceof PluginError) return { message: error.message, exitCode: 1 };
  if (error instanceof ApiError) return { message: sentenceOf(error), exitCode: 1 };
  if (error instanceof MembershipError) {
    return { message: `${error.code}: ${error.message}`, exitCode: 1 };
  }
  return undefined;
}

function sentenceOf({ code, message }: ApiError): string {
  if (code === 0) {
    const advice = 'try kubectl cluster-info, or choose another one with --context or --kubeconfig';
    return `the API server cannot be reached (${message}): ${advice}`;
  }
  if (code === 401) {
    const advice = 'log in again, or choose another user with --context or --kubeconfig';
    return `the API server does not accept these credentials: ${advice}`;
  }
  return message;
}

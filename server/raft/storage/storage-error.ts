import { RaftError } from '../error.ts';

/** What a disk operation failed with, as the library's error: ENOSPC stays, all else is EIO. */
export function storageError(what: string, cause: unknown): RaftError {
  if (cause instanceof RaftError) return cause;
  // Not `instanceof Error`: the file system's errors may come from another realm (tests).
  const coded = typeof cause === 'object' && cause !== null && 'code' in cause;
  const code = coded ? String(cause.code) : '';
  const text = cause instanceof Error ? cause.message : String(cause);
  return new RaftError(code === 'ENOSPC' ? 'ENOSPC' : 'EIO', `${what}: ${text}`, { cause });
}

/** A file whose content cannot be trusted, with what to do about it. */
export function damagedFile(path: string, problem: string, cause?: unknown): RaftError {
  const remedy = 'restore it from a backup, or wipe this member and add it to the group again';
  return new RaftError('EIO', `${path} is damaged: ${problem}; ${remedy}`, { cause });
}

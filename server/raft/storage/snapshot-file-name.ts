import { RaftError } from '../error.ts';

/**
 * Refuses names that could leave the snapshot's folder or hide in it (braft lets `..` escape).
 *
 * @throws RaftError EINVAL.
 */
export function checkFileName(name: string): void {
  const plain = /^[A-Za-z0-9._-]{1,255}$/.test(name);
  if (plain && name !== '.' && name !== '..' && !name.startsWith('__raft_')) return;
  throw new RaftError('EINVAL', `"${name.slice(0, 100)}" is no name for a file of a snapshot`);
}

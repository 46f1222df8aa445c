import { randomBytes } from 'node:crypto';

/** An id for an offered snapshot that nobody can guess: 128 random bits in hex. */
export function newCopyId(): string {
  return randomBytes(16).toString('hex');
}

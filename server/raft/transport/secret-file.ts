import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { RaftError } from '../error.ts';

/** The metadata in which a caller of raft.v1 shows the secret of the cluster. */
export const SECRET_METADATA = 'atomic-auth';

/** A changed file is noticed this late at most. */
const LOOK_AFTER_MS = 1_000;
const SECRETS_MAX = 2;
const PRINTABLE = /^[\x21-\x7e](?:[\x20-\x7e]{14,1022})[\x21-\x7e]$/;

export type SecretFileOptions = {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Told once why a changed file cannot be used; the secrets read last stay in force. */
  readonly onProblem?: (reason: string) => void;
};

/**
 * The secret that the servers of a cluster and those who administer them share. Its file holds one
 * line, or two while it is exchanged: the first is sent, each is accepted. A changed file is read
 * again when a call comes, without a restart.
 */
export class SecretFile {
  readonly #path: string;
  readonly #options: SecretFileOptions;
  #secrets: readonly string[];
  #digests: readonly Buffer[];
  #version: string;
  #lookedAt: number;
  #problem = '';

  /** @throws RaftError EINVAL when the file cannot be read or holds no secret. */
  constructor(path: string, options: SecretFileOptions) {
    this.#path = path;
    this.#options = options;
    this.#lookedAt = options.now();
    this.#version = versionOf(path);
    this.#secrets = readSecrets(path);
    this.#digests = this.#secrets.map(digestOf);
  }

  /** The one to send. */
  current(): string {
    this.#refresh();
    return this.#secrets[0] ?? '';
  }

  /** Whether `given` is one of the secrets; takes as long for each answer. */
  accepts(given: string): boolean {
    this.#refresh();
    const digest = digestOf(given);
    // All are compared, whichever fits.
    return this.#digests.filter((known) => timingSafeEqual(known, digest)).length > 0;
  }

  #refresh(): void {
    const now = this.#options.now();
    if (now - this.#lookedAt < LOOK_AFTER_MS) return;
    this.#lookedAt = now;
    try {
      const version = versionOf(this.#path);
      if (version === this.#version) return;
      this.#secrets = readSecrets(this.#path);
      this.#digests = this.#secrets.map(digestOf);
      this.#version = version;
      this.#problem = '';
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== this.#problem) this.#options.onProblem?.(reason);
      this.#problem = reason;
    }
  }
}

/** Changes when the file does, also when another one takes its place; empty: there is none. */
function versionOf(path: string): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return '';
    const { mtimeMs, size, ino } = found;
    return `${String(mtimeMs)} ${String(size)} ${String(ino)}`;
  } catch (cause) {
    throw unusable(path, 'it cannot be read', cause);
  }
}

function readSecrets(path: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const there = statSync(path, { throwIfNoEntry: false }) !== undefined;
    throw unusable(path, there ? 'it cannot be read' : 'there is none', cause);
  }
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines.filter((line) => line !== '');
  if (secrets.length === 0) throw unusable(path, 'it is empty');
  if (secrets.length > SECRETS_MAX) throw unusable(path, `it has more than ${SECRETS_MAX} lines`);
  if (secrets.every((secret) => PRINTABLE.test(secret))) return secrets;
  throw unusable(path, 'a secret has 16 to 1024 printable ASCII characters');
}

function unusable(path: string, reason: string, cause?: unknown): RaftError {
  const advice = 'give a file with one secret, or with the new and the old one on two lines';
  return new RaftError('EINVAL', `cannot use the secret file ${path}: ${reason}; ${advice}`, {
    cause,
  });
}

function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

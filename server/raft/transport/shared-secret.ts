import { Metadata } from '@grpc/grpc-js';
import { RaftError } from '../error.ts';
import { SECRET_METADATA } from './secret-file.ts';

/** What the servers of a cluster and those who administer them have in common. */
export type SharedSecret = {
  /** The one to send. */
  current(): string;
  /** Whether `given` is one of those in force. */
  accepts(given: string): boolean;
};

/** The metadata of a call to another server. */
export function metadataWith(secret: SharedSecret | undefined): Metadata {
  const metadata = new Metadata();
  if (secret !== undefined) metadata.set(SECRET_METADATA, secret.current());
  return metadata;
}

/** Why a call is not served; undefined when it shows the secret, or none is asked for. */
export function missingSecret(
  secret: SharedSecret | undefined,
  metadata: Metadata,
): RaftError | undefined {
  if (secret === undefined) return undefined;
  const [given] = metadata.get(SECRET_METADATA);
  if (typeof given === 'string' && secret.accepts(given)) return undefined;
  const advice = 'give --auth_secret_file with the file that the servers of its cluster use';
  return new RaftError('EACCES', `this server asks for its secret: ${advice}`);
}

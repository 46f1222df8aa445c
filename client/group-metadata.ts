import { Metadata } from '@grpc/grpc-js';

/** Names the group that a call is for: one port may serve several. */
export function groupMetadata(group: string): Metadata {
  const metadata = new Metadata();
  metadata.set('atomic-group', group);
  return metadata;
}

import type { Incarnation, Lineage, PeerId } from '../core/ids.ts';
import type { Message } from '../core/message.ts';
import type { SnapshotFile } from '../storage/snapshot-storage.ts';

/** A message on its way, with what the receiver checks before its core sees it. */
export type AddressedMessage = {
  readonly group: string;
  readonly clusterId: string;
  /** The sender's history; undefined while it has none (a joining disk's answers). */
  readonly lineage: Lineage | undefined;
  readonly message: Message;
};

/** Why a receiver did not take a message; counted, logged with a rate limit, told to the sender. */
export type ReceiveRefusal =
  'unknownGroup' | 'clusterMismatch' | 'lineageMismatch' | 'incarnationMismatch' | 'notActive';

/** What a transport delivers to the node that registered for a (group, peer). */
export type Receiver = {
  /** Takes a message or says why not; never throws, never waits. */
  receive(message: AddressedMessage): ReceiveRefusal | undefined;
  /** The connection to `peer` broke, or could not be made. */
  unreachable(peer: PeerId): void;
  /** A handshake with `peer` finished. */
  announced(peer: PeerId, announcement: PeerAnnouncement): void;
  /** Files of a snapshot this node offered under `copyId`; undefined when it is not (any more). */
  openCopy(copyId: string): SnapshotCopySource | undefined;
};

export type PeerAnnouncement = {
  readonly incarnation: Incarnation;
  readonly formatVersionMin: number;
  readonly formatVersionMax: number;
};

/** What the owner of an offered snapshot serves to the follower that fetches it. */
export type SnapshotCopySource = {
  readonly files: readonly SnapshotFile[];
  read(name: string, offset: number, bytesMax: number): Promise<Uint8Array>;
};

/** Fetches files offered by `peer`: each call is one bounded, checksummed chunk. */
export type SnapshotCopyClient = {
  list(signal: AbortSignal): Promise<readonly SnapshotFile[]>;
  read(
    name: string,
    offset: number,
    options: { readonly bytesMax: number; readonly signal: AbortSignal },
  ): Promise<Uint8Array>;
  close(): void;
};

/** Carries messages between the nodes of a group. Several groups share one transport and port. */
export type Transport = {
  /** Takes part for one node; the returned function ends that. */
  register(
    local: {
      readonly group: string;
      readonly peer: PeerId;
      readonly announcement: PeerAnnouncement;
    },
    receiver: Receiver,
  ): () => void;
  /**
   * Queues messages to be sent; never waits, never throws. Requests go over a stream this side
   * opens; responses go back over the stream the request came on. What cannot be sent is dropped:
   * Raft repeats. Messages to one peer given in one turn leave in one write, in order.
   */
  send(messages: readonly AddressedMessage[]): void;
  /** Opens a channel of its own (never the one heartbeats use) to fetch a snapshot. */
  openCopy(from: {
    readonly group: string;
    readonly local: PeerId;
    readonly peer: PeerId;
    readonly copyId: string;
  }): SnapshotCopyClient;
};

import type { PeerId } from '../../server/raft/core/ids.ts';
import { RaftError } from '../../server/raft/error.ts';
import type {
  AddressedMessage,
  Receiver,
  SnapshotCopyClient,
  Transport,
} from '../../server/raft/transport/transport.ts';

/** Carries messages between nodes of one process, in order, one microtask later. */
export class MemoryNetwork {
  readonly #receivers = new Map<string, Receiver>();
  /** Return false to lose a message. */
  deliver: (message: AddressedMessage) => boolean = () => true;

  /** What one node uses. */
  transport(): Transport {
    return {
      register: ({ group, peer }, receiver) => {
        this.#receivers.set(`${group} ${peer}`, receiver);
        return () => {
          this.#receivers.delete(`${group} ${peer}`);
        };
      },
      send: (messages) => {
        queueMicrotask(() => {
          for (const message of messages) this.#carry(message);
        });
      },
      openCopy: ({ group, peer, copyId }) => this.#openCopy(`${group} ${peer}`, copyId),
    };
  }

  #carry(addressed: AddressedMessage): void {
    const { from, to } = addressed.message;
    if (!this.deliver(addressed)) return;
    const receiver = this.#receivers.get(`${addressed.group} ${to}`);
    if (receiver === undefined) this.#reportUnreachable(addressed.group, from, to);
    else receiver.receive(addressed);
  }

  #reportUnreachable(group: string, from: PeerId, to: PeerId): void {
    this.#receivers.get(`${group} ${from}`)?.unreachable(to);
  }

  #openCopy(key: string, copyId: string): SnapshotCopyClient {
    const source = () => {
      const copy = this.#receivers.get(key)?.openCopy(copyId);
      if (copy === undefined) throw new RaftError('ENOENT', 'the snapshot is not offered');
      return copy;
    };
    return {
      list: () => Promise.resolve().then(() => source().files),
      read: (name, offset, { bytesMax }) =>
        Promise.resolve().then(() => source().read(name, offset, bytesMax)),
      close: () => undefined,
    };
  }
}

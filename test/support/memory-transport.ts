import type { PeerId } from '../../server/raft/core/ids.ts';
import { RaftError } from '../../server/raft/error.ts';
import type {
  AddressedMessage,
  Receiver,
  SnapshotCopyClient,
  Transport,
} from '../../server/raft/transport/transport.ts';

type LocalMember = Parameters<Transport['register']>[0];

/** Carries messages between nodes of one process, in order, one microtask later. */
export class MemoryNetwork {
  readonly #receivers = new Map<string, Receiver>();
  readonly #members = new Map<string, LocalMember>();
  /** Return false to lose a message. */
  deliver: (message: AddressedMessage) => boolean = () => true;

  /** What one node uses. */
  transport(): Transport {
    return {
      register: (member, receiver) => {
        const key = `${member.group} ${member.peer}`;
        this.#receivers.set(key, receiver);
        this.#members.set(key, member);
        queueMicrotask(() => {
          this.#greet(key, member);
        });
        return () => {
          this.#receivers.delete(key);
          this.#members.delete(key);
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

  /** As when connections are made: a newcomer and the others of its group say who they are. */
  #greet(key: string, member: LocalMember): void {
    for (const [otherKey, other] of this.#members) {
      if (otherKey === key || other.group !== member.group) continue;
      this.#receivers.get(otherKey)?.announced(member.peer, member.announcement);
      this.#receivers.get(key)?.announced(other.peer, other.announcement);
    }
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

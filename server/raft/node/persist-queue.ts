import type { Effect } from '../core/effect.ts';
import type { HardState } from '../core/event.ts';
import { LogIndex, type LogId } from '../core/ids.ts';
import type { Message } from '../core/message.ts';
import { asRaftError, RaftError } from '../error.ts';
import type { LogStorage } from '../storage/log-storage.ts';
import type { MetaStorage } from '../storage/meta-storage.ts';
import type { SnapshotStorage } from '../storage/snapshot-storage.ts';
import type { NodeError } from './state-machine.ts';

type Write = Extract<Effect, { type: 'persist' | 'install' }>;

/** What the durable state covers once a write and all before it are on disk. */
export type Durable = { readonly lastLog: LogId; readonly hardState: HardState };

export type PersistPorts = {
  readonly log: LogStorage;
  readonly meta: MetaStorage;
  readonly snapshots: SnapshotStorage | undefined;
  /** Called in order, once everything up to and including a write is durable. */
  readonly onDurable: (durable: Durable, thenSend: readonly Message[]) => void;
  /** Called once; nothing completes after it. */
  readonly onFailure: (error: NodeError) => void;
};

/**
 * The one FIFO of everything a node makes durable. Plain log writes are handed to the log at once,
 * where they share syncs; a write with a hard state or a snapshot waits for all before it, and all
 * after it wait for it, since such writes must not overtake each other.
 */
export class PersistQueue {
  readonly #ports: PersistPorts;
  #tail: Promise<void> = Promise.resolve();
  #barriers = 0;
  #failed = false;

  constructor(ports: PersistPorts) {
    this.#ports = ports;
  }

  push(write: Write, durable: Durable): void {
    if (this.#failed) return;
    const previous = this.#tail;
    const isBarrier = write.type === 'install' || write.hardState !== undefined;
    let done: Promise<unknown>;
    if (isBarrier || this.#barriers > 0) {
      this.#barriers++;
      done = previous.then(() => this.#perform(write)).finally(() => this.#barriers--);
    } else {
      done = Promise.all([previous, this.#append(write)]);
    }
    this.#tail = done.then(
      () => {
        if (!this.#failed) this.#ports.onDurable(durable, write.thenSend);
      },
      (error: unknown) => {
        this.#fail(error, isBarrier && write.type === 'persist' ? 'stable' : 'log');
      },
    );
  }

  /** Deletes entries before `firstKept`, behind whatever is queued. */
  compact(firstKept: LogIndex): void {
    this.#tail = this.#tail
      .then(() => (this.#failed ? undefined : this.#ports.log.truncatePrefix(firstKept)))
      .catch((error: unknown) => {
        this.#fail(error, 'log');
      });
  }

  /** Resolves when everything queued so far is durable or has failed. */
  async drain(): Promise<void> {
    await this.#tail;
  }

  async #perform(write: Write): Promise<void> {
    if (this.#failed) return;
    if (write.hardState !== undefined) await this.#ports.meta.save(write.hardState);
    if (write.type === 'install') await this.#install(write);
    else await this.#append(write);
  }

  async #install({ meta, resetLog }: Extract<Write, { type: 'install' }>): Promise<void> {
    const { snapshots, log } = this.#ports;
    if (snapshots === undefined) throw new RaftError('EINVAL', 'this node keeps no snapshots');
    // The snapshot first: a crash in between leaves both, and the start drops the log then.
    await snapshots.commitReceived(meta);
    const next = LogIndex(meta.lastIncluded.index + 1);
    await (resetLog ? log.reset(next) : log.truncatePrefix(next));
  }

  #append(write: Write): Promise<void> {
    return write.type === 'persist' ? this.#ports.log.write(write.write) : Promise.resolve();
  }

  #fail(error: unknown, type: NodeError['type']): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#ports.onFailure({ type, error: asRaftError(error) });
  }
}

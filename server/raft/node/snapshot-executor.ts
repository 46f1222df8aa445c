import type { Event } from '../core/event.ts';
import type { LogIndex, PeerId } from '../core/ids.ts';
import type { ConfigurationRecord, IndexedConfiguration } from '../core/membership.ts';
import type { InstallSnapshotRequest, SnapshotMeta } from '../core/message.ts';
import { RaftError } from '../error.ts';
import type { SnapshotReader, SnapshotStorage } from '../storage/snapshot-storage.ts';
import type { SnapshotCopySource, SnapshotCopyClient } from '../transport/transport.ts';
import type { Clock } from './clock.ts';
import type { FsmCaller } from './fsm-caller.ts';
import type { Logger } from './logger.ts';
import { asRaftError } from './persist-queue.ts';
import type { NodeError, StateMachine } from './state-machine.ts';

/** How long an offered snapshot may be fetched after its last use. */
const OFFER_LIFETIME_MS = 600_000;

/** Fetches the files behind a client into the storage; `transport/snapshot-copier.ts` does it. */
export type CopySnapshot = (copy: {
  readonly client: SnapshotCopyClient;
  readonly meta: SnapshotMeta;
  readonly snapshots: SnapshotStorage;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}) => Promise<void>;

export type SnapshotPorts<Context> = {
  readonly snapshots: SnapshotStorage | undefined;
  readonly stateMachine: StateMachine<Context>;
  readonly fsm: FsmCaller<Context>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly copySnapshot: CopySnapshot;
  readonly newCopyId: () => string;
  readonly openCopy: (from: {
    readonly peer: PeerId;
    readonly copyId: string;
  }) => SnapshotCopyClient;
  readonly termAt: (index: LogIndex) => SnapshotMeta['lastIncluded']['term'] | undefined;
  readonly configurationAt: (index: LogIndex) => IndexedConfiguration;
  readonly submit: (event: Event) => void;
  readonly onError: (error: NodeError) => void;
};

type Offer = { readonly reader: SnapshotReader; cancelExpiry: () => void };

/** Saves, offers and fetches snapshots (braft SnapshotExecutor). */
export class SnapshotExecutor<Context> {
  readonly #ports: SnapshotPorts<Context>;
  readonly #offers = new Map<string, Offer>();
  #last: SnapshotMeta['lastIncluded'] | undefined;
  #activity: 'idle' | 'saving' | 'downloading' | 'loading' = 'idle';
  #download: AbortController | undefined;
  #stopped = false;

  constructor(ports: SnapshotPorts<Context>) {
    this.#ports = ports;
    this.#last = ports.snapshots?.recovered?.lastIncluded;
  }

  last(): SnapshotMeta['lastIncluded'] | undefined {
    return this.#last;
  }

  activity(): 'idle' | 'saving' | 'downloading' | 'loading' {
    return this.#activity;
  }

  /**
   * Saves a snapshot of what is applied (braft do_snapshot). Nothing new since the last one is
   * success without a new snapshot.
   *
   * @throws RaftError EINVAL (no snapshots here), EPERM (stopped), EBUSY (saving or loading), or
   *   what the state machine or the disk failed with.
   */
  async save(): Promise<void> {
    const { snapshots, stateMachine, fsm } = this.#ports;
    if (snapshots === undefined || stateMachine.onSnapshotSave === undefined) {
      throw new RaftError('EINVAL', 'Snapshot is not supported');
    }
    if (this.#stopped) throw new RaftError('EPERM', 'Is stopped');
    if (this.#activity === 'saving') throw new RaftError('EBUSY', 'Is saving another snapshot');
    if (this.#activity !== 'idle') throw new RaftError('EBUSY', 'Is loading another snapshot');
    if (fsm.appliedIndex() <= (this.#last?.index ?? 0)) return;
    this.#activity = 'saving';
    try {
      await fsm.save((applied, fixed) => this.#saveAt(snapshots, applied, fixed));
    } finally {
      this.#activity = 'idle';
    }
  }

  /** Serves the newest snapshot under a fresh id and tells the follower about it. */
  async offer(
    message: Omit<InstallSnapshotRequest, 'meta' | 'copyId' | 'type'>,
    send: (request: InstallSnapshotRequest) => void,
  ): Promise<void> {
    const reader = this.#stopped ? undefined : await this.#ports.snapshots?.open();
    if (reader === undefined) {
      this.#ports.submit({ type: 'snapshotSendFailed', peer: message.to });
      return;
    }
    const copyId = this.#ports.newCopyId();
    const offer: Offer = { reader, cancelExpiry: () => undefined };
    this.#offers.set(copyId, offer);
    this.#prolong(copyId, offer);
    send({ ...message, type: 'installSnapshotRequest', meta: reader.meta, copyId });
  }

  /** What a follower may fetch under `copyId`. */
  copySource(copyId: string): SnapshotCopySource | undefined {
    const offer = this.#offers.get(copyId);
    if (offer === undefined) return undefined;
    this.#prolong(copyId, offer);
    const { reader } = offer;
    return {
      files: reader.files,
      read: (name, offset, bytesMax) => reader.read(name, offset, bytesMax),
    };
  }

  /** Fetches an offered snapshot; the core learns whether it has arrived. */
  async download(offer: {
    readonly meta: SnapshotMeta;
    readonly from: PeerId;
    readonly copyId: string;
  }): Promise<void> {
    const { snapshots, submit, clock } = this.#ports;
    const { meta, from: peer, copyId } = offer;
    this.#download?.abort();
    const controller = new AbortController();
    this.#download = controller;
    if (snapshots === undefined || this.#stopped) {
      submit({ type: 'snapshotDownloadFailed', meta });
      return;
    }
    if (this.#activity === 'idle') this.#activity = 'downloading';
    const client = this.#ports.openCopy({ peer, copyId });
    const { signal } = controller;
    try {
      await this.#ports.copySnapshot({ client, meta, snapshots, clock, signal });
      if (!signal.aborted) submit({ type: 'snapshotDownloaded', meta });
    } catch (error) {
      const { message } = asRaftError(error);
      this.#ports.logger.warn('fetching a snapshot failed', { peer, message });
      if (!signal.aborted) submit({ type: 'snapshotDownloadFailed', meta });
    } finally {
      client.close();
      if (this.#download === controller) this.#endDownload();
    }
  }

  cancelDownload(): void {
    this.#download?.abort();
  }

  /** Loads an installed snapshot into the state machine, once it is durable. */
  async load(meta: SnapshotMeta, durable: Promise<unknown>): Promise<void> {
    const { snapshots, fsm, onError } = this.#ports;
    this.#last = meta.lastIncluded;
    this.#activity = 'loading';
    try {
      await fsm.load(meta, async () => {
        await durable;
        return snapshots?.open();
      });
    } catch (error) {
      if (!this.#stopped) onError({ type: 'snapshot', error: asRaftError(error) });
    } finally {
      this.#activity = 'idle';
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#download?.abort();
    const offers = [...this.#offers.keys()];
    await Promise.all(offers.map((copyId) => this.#withdraw(copyId)));
  }

  async #saveAt(snapshots: SnapshotStorage, applied: LogIndex, fixed: () => void): Promise<void> {
    const { stateMachine, termAt, configurationAt, submit } = this.#ports;
    const term = termAt(applied);
    if (term === undefined) throw new RaftError('ESTALE', 'the log moved past the snapshot');
    const { index: configurationIndex, ...indexed } = configurationAt(applied);
    const configuration: ConfigurationRecord = indexed;
    const lastIncluded = { index: applied, term };
    const meta = { lastIncluded, configuration, configurationIndex };
    await snapshots.save(meta, async (writer) => {
      const written = stateMachine.onSnapshotSave?.(writer);
      // From here on the state may change: the state machine has fixed what it writes.
      fixed();
      await written;
    });
    this.#last = lastIncluded;
    submit({ type: 'snapshotSaved', meta });
  }

  #endDownload(): void {
    this.#download = undefined;
    if (this.#activity === 'downloading') this.#activity = 'idle';
  }

  #prolong(copyId: string, offer: Offer): void {
    offer.cancelExpiry();
    offer.cancelExpiry = this.#ports.clock.after(OFFER_LIFETIME_MS, () => {
      void this.#withdraw(copyId);
    });
  }

  async #withdraw(copyId: string): Promise<void> {
    const offer = this.#offers.get(copyId);
    if (offer === undefined) return;
    this.#offers.delete(copyId);
    offer.cancelExpiry();
    await offer.reader.close();
  }
}

import type { Event } from '../core/event.ts';
import type { LogIndex, PeerId } from '../core/ids.ts';
import type { ConfigurationRecord, IndexedConfiguration } from '../core/membership.ts';
import type { InstallSnapshotRequest, SnapshotMeta } from '../core/message.ts';
import { asRaftError, RaftError } from '../error.ts';
import type { SnapshotReader, SnapshotStorage } from '../storage/snapshot-storage.ts';
import type { SnapshotCopySource, SnapshotCopyClient } from '../transport/transport.ts';
import type { Clock } from './clock.ts';
import type { FsmCaller } from './fsm-caller.ts';
import type { Logger } from './logger.ts';
import type { NodeStatus } from './node-status.ts';
import type { NodeError, StateMachine } from './state-machine.ts';

/** How long an offered snapshot may be fetched after its last use. */
const OFFER_LIFETIME_MS = 600_000;

/** Offers kept open for one follower: the newest, and one it may still be fetching. */
const OFFERS_PER_PEER_MAX = 2;

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
  /** Resolves when everything handed to the disk so far is durable. */
  readonly drained: () => Promise<void>;
  readonly submit: (event: Event) => void;
  readonly onError: (error: NodeError) => void;
};

type Offer = {
  readonly to: PeerId;
  readonly reader: SnapshotReader;
  cancelExpiry: () => void;
};

/** What a leader offered to this node. */
type SnapshotOffer = {
  readonly meta: SnapshotMeta;
  readonly from: PeerId;
  readonly copyId: string;
};

type SnapshotActivity = NodeStatus['snapshotActivity'];

/** Saves, offers and fetches snapshots (braft SnapshotExecutor). */
export class SnapshotExecutor<Context> {
  readonly #ports: SnapshotPorts<Context>;
  readonly #offers = new Map<string, Offer>();
  #last: SnapshotMeta['lastIncluded'] | undefined;
  #activity: SnapshotActivity = 'idle';
  #download: AbortController | undefined;
  /** The fetching and the saving under way; both end, one way or another, before `stop` does. */
  #fetching: Promise<void> = Promise.resolve();
  #saving: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(ports: SnapshotPorts<Context>) {
    this.#ports = ports;
    this.#last = ports.snapshots?.recovered?.lastIncluded;
  }

  activity(): SnapshotActivity {
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
    const { fsm } = this.#ports;
    const snapshots = this.#storageToSaveTo();
    if (fsm.appliedIndex() <= (this.#last?.index ?? 0)) return;
    this.#activity = 'saving';
    const saving = fsm.save((applied, fixed) => this.#saveAt(snapshots, applied, fixed));
    this.#saving = saving.catch(() => undefined);
    try {
      await saving;
    } catch (error) {
      // A disk that fails is not tried again; what the state machine threw is its own affair.
      const broken = error instanceof RaftError && error.code === 'EIO';
      if (broken) this.#reportUnlessStopped(error);
      throw error;
    } finally {
      this.#endActivity('saving');
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
    const { to } = message;
    const offer: Offer = { to, reader, cancelExpiry: () => undefined };
    const older = [...this.#offers].filter(([, other]) => other.to === to).map(([id]) => id);
    for (const id of older.slice(0, 1 - OFFERS_PER_PEER_MAX)) await this.#withdraw(id);
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
  download(offer: SnapshotOffer): Promise<void> {
    const { snapshots, submit } = this.#ports;
    this.#download?.abort();
    const controller = new AbortController();
    this.#download = controller;
    if (snapshots === undefined || this.#stopped) {
      submit({ type: 'snapshotDownloadFailed', meta: offer.meta });
      return Promise.resolve();
    }
    const { signal } = controller;
    // One at a time: an older fetch, and the installing of what it brought, use the same folder.
    this.#fetching = Promise.all([this.#fetching, this.#ports.drained()])
      .then(() => this.#fetch(snapshots, offer, signal))
      .finally(() => {
        if (this.#download === controller) this.#download = undefined;
      });
    return this.#fetching;
  }

  /** Loads an installed snapshot into the state machine, once it is durable. */
  async load(meta: SnapshotMeta, durable: Promise<unknown>): Promise<void> {
    const { snapshots, fsm } = this.#ports;
    this.#last = meta.lastIncluded;
    this.#activity = 'loading';
    try {
      await fsm.load(meta, async () => {
        await durable;
        return snapshots?.open();
      });
    } catch (error) {
      this.#reportUnlessStopped(asRaftError(error));
    } finally {
      this.#endActivity('loading');
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#download?.abort();
    const offers = [...this.#offers.keys()];
    await Promise.all(offers.map((copyId) => this.#withdraw(copyId)));
    await this.#fetching;
  }

  #storageToSaveTo(): SnapshotStorage {
    const { snapshots, stateMachine } = this.#ports;
    if (snapshots === undefined || stateMachine.onSnapshotSave === undefined) {
      throw new RaftError('EINVAL', 'Snapshot is not supported');
    }
    if (this.#stopped) throw new RaftError('EPERM', 'Is stopped');
    if (this.#activity === 'saving') throw new RaftError('EBUSY', 'Is saving another snapshot');
    if (this.#activity !== 'idle') throw new RaftError('EBUSY', 'Is loading another snapshot');
    return snapshots;
  }

  #reportUnlessStopped(error: RaftError): void {
    if (!this.#stopped) this.#ports.onError({ type: 'snapshot', error });
  }

  /** Resolves when a snapshot that is being saved is finished or has failed. */
  async saved(): Promise<void> {
    await this.#saving;
  }

  async #saveAt(snapshots: SnapshotStorage, applied: LogIndex, fixed: () => void): Promise<void> {
    const { stateMachine, termAt, configurationAt, submit } = this.#ports;
    const term = termAt(applied);
    if (term === undefined) throw new RaftError('ESTALE', 'the log moved past the snapshot');
    const { index: configurationIndex, ...indexed } = configurationAt(applied);
    const configuration: ConfigurationRecord = indexed;
    const lastIncluded = { index: applied, term };
    const meta = { lastIncluded, configuration, configurationIndex };
    const own: { failure?: { readonly error: unknown } } = {};
    const save = snapshots.save(meta, async (writer) => {
      try {
        const written = stateMachine.onSnapshotSave?.(writer);
        // From here on the state may change: the state machine has fixed what it writes.
        fixed();
        await written;
      } catch (error) {
        own.failure = { error };
        throw error;
      }
    });
    // The storage may wrap what the state machine threw; its caller wants the original.
    await save.catch((error: unknown) => {
      throw own.failure === undefined ? asRaftError(error) : stateMachineError(own.failure.error);
    });
    this.#last = lastIncluded;
    submit({ type: 'snapshotSaved', meta });
  }

  async #fetch(
    snapshots: SnapshotStorage,
    { meta, from: peer, copyId }: SnapshotOffer,
    signal: AbortSignal,
  ): Promise<void> {
    const aborted = (): boolean => signal.aborted;
    if (aborted()) return;
    const { submit, clock, logger, openCopy, copySnapshot } = this.#ports;
    if (this.#activity === 'idle') this.#activity = 'downloading';
    const client = openCopy({ peer, copyId });
    try {
      await copySnapshot({ client, meta, snapshots, clock, signal });
      if (!aborted()) submit({ type: 'snapshotDownloaded', meta });
    } catch (error) {
      if (aborted()) return;
      logger.warn('fetching a snapshot failed', { peer, message: asRaftError(error).message });
      submit({ type: 'snapshotDownloadFailed', meta });
    } finally {
      client.close();
      this.#endActivity('downloading');
    }
  }

  #endActivity(activity: SnapshotActivity): void {
    if (this.#activity === activity) this.#activity = 'idle';
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

/** A snapshot that the state machine could not write is its own affair: the node goes on. */
function stateMachineError(error: unknown): RaftError {
  if (error instanceof RaftError && error.code !== 'EIO') return error;
  const text = error instanceof Error ? error.message : String(error);
  const message = `the state machine could not write its snapshot: ${text}`;
  return new RaftError('ESTATEMACHINE', message, { cause: error });
}

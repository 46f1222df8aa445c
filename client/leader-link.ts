import type { PeerId } from '../server/raft/core/ids.ts';
import { peerAddress } from '../server/raft/core/peer-id.ts';
import type { Batch } from './batch.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { groupMetadata } from './group-metadata.ts';
import type { LeaderFinder } from './leader-finder.ts';
import type { Failure } from './retry.ts';
import { samePeer, type RouteTable } from './route-table.ts';
import { Session } from './session.ts';

/** What the link tells its owner; batches come with the session they were sent on. */
export type LinkListener = {
  opened: () => void;
  writable: () => void;
  answered: (batch: Batch) => void;
  failed: (batch: Batch, failure: Failure, session: Session) => void;
  broken: (batches: readonly Batch[], failure: Failure, session: Session) => void;
};

export type LinkOptions = {
  readonly group: string;
  readonly table: RouteTable;
  readonly finder: LeaderFinder;
  readonly pool: ConnectionPool;
  readonly operationsInFlightMax: number;
  /** After this long without an answer the other members are asked whether they have a new leader. */
  readonly stallMs: number;
  readonly listener: LinkListener;
};

/** An address that does not answer is given up after this long. */
const CONNECT_TIMEOUT_MS = 1_000;
/** How long a stalled session waits for another member to call itself leader. */
const PROBE_TIMEOUT_MS = 1_000;
/** A batch without an answer, of which every caller has given up, ends the session after this long. */
const FORGOTTEN_MS = 10_000;
/** The members are learned anew this often, so that the group may be replaced one by one. */
const MEMBERS_REFRESH_MS = 30_000;

/** The session with the present leader: finds it, opens the stream, notices when it moves. */
export class LeaderLink implements Disposable {
  readonly #options: LinkOptions;
  #current: { readonly peer: PeerId; readonly session: Session } | undefined;
  #search: AbortController | undefined;
  /** The last known server, to be asked when a redirect names a stranger. */
  #lastPeer: PeerId | undefined;
  readonly #sessions = new Set<Session>();
  #watch: NodeJS.Timeout | undefined;
  #probe: AbortController | undefined;
  #closed = false;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The open session, if there is one now. */
  get session(): Session | undefined {
    return this.#current?.session;
  }

  get leader(): PeerId | undefined {
    return this.#current?.peer;
  }

  /** All sessions with batches that may still be answered, the current one included. */
  get sessions(): Iterable<Session> {
    return this.#sessions;
  }

  /** Starts to look for the leader, unless there is a session or a search already. */
  want(): void {
    if (this.#closed || this.#current !== undefined || this.#search !== undefined) return;
    void this.#connect(undefined);
  }

  /** Ends a search that nobody waits for any more. */
  rest(): void {
    this.#search?.abort();
    this.#search = undefined;
  }

  /** Goes to the leader that the server of `session` named; no-op if the link has moved on. */
  follow(leader: string, session: Session): void {
    if (this.#closed || !this.#drop(session)) return;
    void this.#connect(leader);
  }

  /** The server of `session` is not the leader or is gone; no-op if the link has moved on. */
  leave(session: Session): void {
    const peer = this.#current?.peer;
    if (!this.#drop(session)) return;
    if (peer !== undefined) this.#options.finder.suspect(peer);
    this.want();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#search?.abort();
    this.#probe?.abort();
    clearInterval(this.#watch);
    for (const session of [...this.#sessions]) session.abandon('the client was closed');
    this.#current = undefined;
  }

  #drop(session: Session): boolean {
    if (this.#current?.session !== session) return false;
    this.#current = undefined;
    clearInterval(this.#watch);
    session.retire();
    return true;
  }

  async #connect(hint: string | undefined): Promise<void> {
    this.#search?.abort();
    const search = new AbortController();
    this.#search = search;
    const { finder, pool } = this.#options;
    let peer = hint === undefined ? undefined : await this.#trusted(hint);
    while (!search.signal.aborted) {
      peer ??= await found(finder, search.signal);
      if (peer === undefined) break;
      const reachable = await pool.reachable(peerAddress(peer), CONNECT_TIMEOUT_MS);
      if (this.#search !== search) return;
      if (reachable && this.#open(peer)) break;
      finder.suspect(peer);
      peer = undefined;
    }
    if (this.#search === search) this.#search = undefined;
  }

  /** The peer behind a redirect's text, if it is a member. */
  async #trusted(leader: string): Promise<PeerId | undefined> {
    const namedBy = this.#lastPeer;
    return namedBy === undefined ? undefined : this.#options.finder.trusted(leader, namedBy);
  }

  /** False if the peer has ceased to be a member meanwhile. */
  #open(peer: PeerId): boolean {
    const { pool, table, group, finder, listener, operationsInFlightMax } = this.#options;
    if (table.updateLeader(group, peer).type !== 'updated') return false;
    const stream = pool.to(peerAddress(peer)).atomic.session(groupMetadata(group));
    const session: Session = new Session(stream, {
      operationsMax: operationsInFlightMax,
      listener: {
        answered: listener.answered,
        writable: listener.writable,
        failed: (batch, failure) => {
          listener.failed(batch, failure, session);
        },
        broken: (batches, failure) => {
          this.#sessions.delete(session);
          this.leave(session);
          listener.broken(batches, failure, session);
        },
      },
    });
    this.#sessions.add(session);
    this.#current = { peer, session };
    this.#lastPeer = peer;
    this.#watchOver(session, peer);
    if (finder.membersAgeMs > MEMBERS_REFRESH_MS / 2) void finder.refreshMembers(peer);
    listener.opened();
    return true;
  }

  #watchOver(session: Session, peer: PeerId): void {
    const { stallMs, finder } = this.#options;
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      const waitedMs = session.oldestWaitMs(performance.now());
      if (waitedMs > stallMs) void this.#probeOthers(session, peer);
      // Nobody waits for it, but it holds room that others need.
      if (waitedMs > FORGOTTEN_MS && session.oldestIsForgotten()) {
        session.abandon(`${peerAddress(peer)} does not answer`);
      }
      if (finder.membersAgeMs > MEMBERS_REFRESH_MS) void finder.refreshMembers(peer);
    }, stallMs / 2);
    // Outstanding operations keep the process alive, not the look at how they are doing.
    this.#watch.unref();
  }

  /** A leader that stopped answering may have been replaced without this client being told. */
  async #probeOthers(session: Session, peer: PeerId): Promise<void> {
    if (this.#probe !== undefined) return;
    const probe = new AbortController();
    this.#probe = probe;
    const timer = setTimeout(() => {
      probe.abort();
    }, PROBE_TIMEOUT_MS);
    const leader = await found(this.#options.finder, probe.signal, true);
    clearTimeout(timer);
    this.#probe = undefined;
    if (leader === undefined || samePeer(leader, peer)) return;
    if (this.#current?.session !== session) return;
    this.follow(leader, session);
    session.abandon(`${peerAddress(peer)} no longer answers and ${peerAddress(leader)} leads now`);
  }
}

/** The leader, or undefined once the signal fires. */
async function found(
  finder: LeaderFinder,
  signal: AbortSignal,
  ownWordOnly = false,
): Promise<PeerId | undefined> {
  try {
    return await finder.find({ signal, ownWordOnly });
  } catch (error) {
    if (signal.aborted) return undefined;
    throw error;
  }
}

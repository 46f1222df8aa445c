import type { ClientUnaryCall, ServiceError } from '@grpc/grpc-js';
import { Metadata, status } from '@grpc/grpc-js';
import type { PeerId } from '../server/raft/core/ids.ts';
import { parsePeerId, peerAddress } from '../server/raft/core/peer-id.ts';
import type { GetLeaderResponse, ListPeersResponse } from '../proto/gen/raft/v1/cli.ts';
import type { ConnectionPool } from './connection-pool.ts';
import { samePeer, type RouteTable } from './route-table.ts';

/** Members asked at the same moment; the next ones follow a round later. */
const ASKED_AT_ONCE = 3;
/** A member that is alive answers well within this; a longer silence is a failure. */
const ANSWER_TIMEOUT_MS = 500;
/** Between two rounds of questions: short, since an election ends at any moment. */
const ROUND_PAUSE_FIRST_MS = 15;
const ROUND_PAUSE_MAX_MS = 60;
/** After this long without a leader the questions become rare. */
const PATIENCE_MS = 10_000;
const ROUND_PAUSE_PATIENT_MS = 250;
/** A leader that just failed is believed on others' word again after this long. */
const SUSPICION_MS = 2_000;

export type LeaderFinderOptions = {
  readonly group: string;
  readonly table: RouteTable;
  readonly pool: ConnectionPool;
};

/** One search for a leader, from the first question to its end. */
type Search = {
  readonly ownWordOnly: boolean;
  readonly found: (leader: PeerId) => void;
  /** Questions without an answer yet, by member. */
  readonly open: Map<PeerId, ClientUnaryCall>;
  /** Some member has answered, though not with a leader: that tells more than another's silence. */
  refused: boolean;
};

/**
 * Finds a group's leader by asking its members (braft CliService.get_leader), several at a time.
 * A member that names itself is believed at once; one that names another is believed unless that
 * other has just failed, for members go on naming a dead leader until they elect the next.
 */
export class LeaderFinder {
  readonly #group: string;
  readonly #table: RouteTable;
  readonly #pool: ConnectionPool;
  #suspect: { readonly peer: PeerId; readonly until: number } | undefined;
  #refreshedAt = -Infinity;
  #lastAnswer = '';

  constructor({ group, table, pool }: LeaderFinderOptions) {
    this.#group = group;
    this.#table = table;
    this.#pool = pool;
  }

  /** What a member last said instead of naming a leader, for the error of those who wait for one. */
  get lastAnswer(): string {
    return this.#lastAnswer;
  }

  /** Notes that this peer did not behave as the leader: only its own word is believed for a while. */
  suspect(peer: PeerId): void {
    this.#suspect = { peer, until: performance.now() + SUSPICION_MS };
  }

  /**
   * Asks, round after round, until a leader is named; rejects only when `signal` fires. A slow
   * member delays nothing: its answer counts whenever it comes.
   *
   * @param options.ownWordOnly - believe a leader only if it names itself.
   */
  async find(options: { signal: AbortSignal; ownWordOnly?: boolean }): Promise<PeerId> {
    const { signal, ownWordOnly = false } = options;
    const found = Promise.withResolvers<PeerId>();
    const search: Search = {
      ...{ ownWordOnly, found: found.resolve, open: new Map(), refused: false },
    };
    const start = performance.now();
    try {
      for (let round = 0; ; round++) {
        signal.throwIfAborted();
        this.#askSome(search, round);
        const rest = pause(roundPauseMs(round, performance.now() - start), signal);
        const leader = await Promise.race([found.promise, rest.over]);
        rest.stop();
        if (leader !== undefined) return leader;
      }
    } finally {
      for (const call of search.open.values()) call.cancel();
    }
  }

  /** Learns the present members from `peer`; false if it did not tell. */
  async refreshMembers(peer: PeerId): Promise<boolean> {
    const { cli } = this.#pool.to(peerAddress(peer));
    const answer = await new Promise<ListPeersResponse | undefined>((resolve) => {
      cli.listPeers({ groupId: this.#group }, new Metadata(), soon(), (_error, response) => {
        resolve(response);
      });
    });
    this.#refreshedAt = performance.now();
    if (answer === undefined) return false;
    const { peers, outgoingPeers, learners } = answer;
    this.#table.advertise(this.#group, [...peers, ...outgoingPeers, ...learners]);
    return true;
  }

  /** Milliseconds since a member was last asked for the members. */
  get membersAgeMs(): number {
    return performance.now() - this.#refreshedAt;
  }

  /**
   * The peer that a redirect or a member named as leader, if it is a member: a stranger only counts
   * once the one who named it, a known member, lists it among the members.
   */
  async trusted(leader: string, namedBy: PeerId): Promise<PeerId | undefined> {
    const parsed = parsePeerId(leader);
    if (!parsed.ok) return undefined;
    if (this.#table.isMember(this.#group, parsed.peer)) return parsed.peer;
    await this.refreshMembers(namedBy);
    return this.#table.isMember(this.#group, parsed.peer) ? parsed.peer : undefined;
  }

  #askSome(search: Search, round: number): void {
    const members = this.#table.refreshPlan(this.#group);
    for (let position = 0; position < Math.min(ASKED_AT_ONCE, members.length); position++) {
      const member = members[(round * ASKED_AT_ONCE + position) % members.length];
      if (member !== undefined && !search.open.has(member)) this.#ask(search, member);
    }
  }

  #ask(search: Search, member: PeerId): void {
    const { cli } = this.#pool.to(peerAddress(member));
    const answered = (error: ServiceError | null, response?: GetLeaderResponse): void => {
      search.open.delete(member);
      if (error !== null && error.code !== status.CANCELLED) this.#note(search, member, error);
      if (response !== undefined) void this.#weigh(search, member, response);
    };
    const question = { groupId: this.#group };
    search.open.set(member, cli.getLeader(question, new Metadata(), soon(), answered));
  }

  #note(search: Search, member: PeerId, error: ServiceError): void {
    const isSilent = error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
    if (isSilent && search.refused) return;
    search.refused ||= !isSilent;
    this.#lastAnswer = `${peerAddress(member)}${reasonOf(error)}`;
  }

  async #weigh(search: Search, member: PeerId, answer: GetLeaderResponse): Promise<void> {
    const { leaderId: named, members } = answer;
    const parsed = parsePeerId(named);
    const isNew = parsed.ok && !this.#table.isMember(this.#group, parsed.peer);
    // Whoever was configured, a Service perhaps, is trusted to say who the members are.
    if (isNew && members.includes(named)) this.#table.advertise(this.#group, members);
    const leader = await this.trusted(named, member);
    if (leader === undefined) return;
    const ownWord = samePeer(leader, member);
    if (ownWord || !(search.ownWordOnly || this.#isSuspect(leader))) search.found(leader);
  }

  #isSuspect(peer: PeerId): boolean {
    const suspect = this.#suspect;
    if (suspect === undefined || performance.now() >= suspect.until) return false;
    return samePeer(suspect.peer, peer);
  }
}

/** What the end of a call says to a person: grpc-js tells of connections in words of its own. */
function reasonOf({ code, details }: ServiceError): string {
  const unreachable = code === status.UNAVAILABLE && /connect|resolve/i.test(details);
  return unreachable ? ' cannot be reached' : `: ${details}`;
}

function soon(): { deadline: number } {
  return { deadline: Date.now() + ANSWER_TIMEOUT_MS };
}

function roundPauseMs(round: number, elapsedMs: number): number {
  if (elapsedMs > PATIENCE_MS) return ROUND_PAUSE_PATIENT_MS * (0.5 + Math.random());
  const pauseMs = Math.min(ROUND_PAUSE_MAX_MS, ROUND_PAUSE_FIRST_MS * 2 ** Math.min(round, 10));
  return pauseMs * (0.5 + Math.random() / 2);
}

/** A pause that ends early, without an error, when the signal fires. */
function pause(forMs: number, signal: AbortSignal): { over: Promise<undefined>; stop: () => void } {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const stop = (): void => {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    resolve(undefined);
  };
  const timer = setTimeout(stop, forMs);
  signal.addEventListener('abort', stop, { once: true });
  return { over: promise, stop };
}

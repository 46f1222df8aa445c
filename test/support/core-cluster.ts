import type { Effect } from '../../server/raft/core/effect.ts';
import type { Event, Ticket } from '../../server/raft/core/event.ts';
import { entryBytes, type LogEntry } from '../../server/raft/core/entry.ts';
import {
  Incarnation,
  LogIndex,
  MonotonicMs,
  next,
  Term,
  type PeerId,
} from '../../server/raft/core/ids.ts';
import { checkState } from '../../server/raft/core/invariants.ts';
import type { MembershipChange } from '../../server/raft/core/membership.ts';
import type { Message, SnapshotMeta } from '../../server/raft/core/message.ts';
import { parsePeerId } from '../../server/raft/core/peer-id.ts';
import type { Recovered } from '../../server/raft/core/recovered.ts';
import type { Refusal } from '../../server/raft/core/refusal.ts';
import {
  createState,
  type CoreOptions,
  type Leader,
  type RaftState,
} from '../../server/raft/core/state.ts';
import { step } from '../../server/raft/core/step.ts';

/** The peer that tests call by one letter. */
export function peer(letter: string): PeerId {
  const parsed = parsePeerId(`${letter}:1`);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.peer;
}

/** The letter of a test peer. */
export const letterOf = (id: PeerId): string => id.slice(0, id.indexOf(':'));

/** The disk a test peer starts with. */
export const diskOf = (letter: string): Incarnation => Incarnation(`disk-${letter}`);

/** What a caller was told about its ticket. */
export type Answer =
  | { readonly type: 'proposed'; readonly index: LogIndex }
  | { readonly type: 'read'; readonly index: LogIndex }
  | { readonly type: 'done'; readonly newVoters: readonly string[] }
  | { readonly type: 'refused'; readonly refusal: Refusal };

/** One node of a test group: its core, and a disk that holds what was persisted. */
export class CoreNode {
  readonly letter: string;
  state: RaftState;
  /** False: persist effects wait until `flushDisk`. */
  diskIsFast = true;
  readonly #unsynced: Extract<Effect, { type: 'persist' | 'install' }>[] = [];
  readonly disk: { entries: LogEntry[]; snapshot: SnapshotMeta | undefined };

  constructor(letter: string, options: CoreOptions, recovered: Recovered) {
    this.letter = letter;
    this.state = createState(options, recovered);
    this.disk = { entries: [], snapshot: recovered.snapshot };
  }

  enqueue(effect: Extract<Effect, { type: 'persist' | 'install' }>): void {
    this.#unsynced.push(effect);
  }

  /** Makes the oldest waiting write durable; undefined when there is none. */
  takeWrite(): Extract<Effect, { type: 'persist' | 'install' }> | undefined {
    return this.#unsynced.shift();
  }
}

/** What a transcript is told: each effect of each step, each message sent, received or lost. */
export type ClusterObserver = {
  readonly effect?: (letter: string, effect: Effect) => void;
  readonly sent?: (message: Message) => void;
  readonly received?: (message: Message) => void;
  readonly lost?: (message: Message) => void;
};

/** Options of a test group. */
export type ClusterOptions = {
  readonly seed?: number;
  readonly core?: Partial<CoreOptions>;
  /** Peers with an empty disk that wait to be addressed. */
  readonly joining?: readonly string[];
};

/**
 * Cores wired by a queue of messages: no clock but `tick`, no network but this queue, no disk but a
 * list. Everything happens when the test says so.
 */
export class CoreCluster {
  readonly nodes = new Map<string, CoreNode>();
  readonly messages: Message[] = [];
  readonly answers = new Map<Ticket, Answer>();
  readonly trace: string[] = [];
  /** Return false to lose a message. */
  deliver: (message: Message) => boolean = () => true;
  /** Told of everything that happens, for transcripts. */
  observer: ClusterObserver = {};
  now = 0;
  #tickets = 0;
  readonly #crashed = new Map<string, CoreNode>();
  readonly #options: ClusterOptions;
  readonly #voters: readonly string[];

  constructor(voters: string, options: ClusterOptions = {}) {
    this.#options = options;
    this.#voters = voters.split('');
    for (const letter of [...this.#voters, ...(options.joining ?? [])]) this.start(letter);
  }

  /** Starts a node on an empty disk. */
  start(letter: string, recovered: Partial<Recovered> = {}, disk = diskOf(letter)): CoreNode {
    const joining = this.#options.joining?.includes(letter) === true;
    const node = new CoreNode(letter, this.#coreOptions(letter, disk), {
      now: MonotonicMs(this.now),
      hardState: { term: Term(1), votedFor: undefined, votedIncarnation: undefined },
      log: { firstIndex: LogIndex(1), lastIndex: LogIndex(0), termRuns: [], configurations: [] },
      snapshot: undefined,
      reset: undefined,
      initialVoters: joining ? new Set() : new Set(this.#voters.map(peer)),
      joined: !joining,
      firstStart: true,
      ...recovered,
    });
    this.nodes.set(letter, node);
    return node;
  }

  /** Stops a node: what its disk has not made durable is gone. */
  crash(letter: string): void {
    this.#crashed.set(letter, this.node(letter));
    this.nodes.delete(letter);
  }

  /** Starts a node again from what its disk holds; crashes it first if it is up. */
  restart(letter: string): CoreNode {
    const { disk, state } = this.#crashed.get(letter) ?? this.node(letter);
    this.#crashed.delete(letter);
    const node = this.start(letter, recoveredFrom({ disk, state }), state.options.incarnation);
    node.disk.entries = disk.entries;
    return node;
  }

  node(letter: string): CoreNode {
    const node = this.nodes.get(letter);
    if (node === undefined) throw new Error(`no node ${letter}`);
    return node;
  }

  state(letter: string): RaftState {
    return this.node(letter).state;
  }

  leaderOf(letter: string): Leader {
    const { role } = this.state(letter);
    if (role.type !== 'leader') throw new Error(`${letter} is ${role.type}, not leader`);
    return role;
  }

  /** Gives one event to one node and carries out its effects. */
  event(letter: string, event: Event): void {
    const node = this.node(letter);
    const effects = step(node.state, event);
    checkState(node.state);
    for (const effect of effects) this.#carryOut(node, effect);
    if (node.diskIsFast) this.flushDisk(letter);
  }

  /** Time passes for one node. */
  tick(letter: string, now = this.now, lateByMs = 0): void {
    this.event(letter, { type: 'tick', now: MonotonicMs(now), lateByMs });
  }

  /** Time passes for everybody, in steps of 10 ms, with all messages delivered. */
  run(durationMs: number): void {
    const end = this.now + durationMs;
    while (this.now < end) {
      this.now += 10;
      for (const letter of this.nodes.keys()) this.tick(letter);
      this.settle();
    }
  }

  /** Delivers messages until none is left. */
  settle(): void {
    for (let hops = 0; this.messages.length > 0; hops++) {
      if (hops > 100_000) throw new Error('messages never settle');
      const message = this.messages.shift();
      if (message !== undefined) this.receive(message);
    }
  }

  receive(message: Message): void {
    const target = this.nodes.get(letterOf(message.to));
    const { toIncarnation } = message;
    const meant =
      toIncarnation === undefined || toIncarnation === target?.state.options.incarnation;
    if (target === undefined || !this.deliver(message) || !meant) {
      this.observer.lost?.(message);
      return;
    }
    this.observer.received?.(message);
    this.event(target.letter, { type: 'message', now: MonotonicMs(this.now), message });
  }

  /** Everything a node wrote becomes durable. */
  flushDisk(letter: string): void {
    while (this.flushOne(letter));
  }

  /** The oldest write of a node that is not durable yet becomes so; false: there is none. */
  flushOne(letter: string): boolean {
    const node = this.node(letter);
    const write = node.takeWrite();
    if (write !== undefined) this.#makeDurable(node, write);
    return write !== undefined;
  }

  /** Makes `letter` leader by letting only its election timeout pass. */
  elect(letter: string): void {
    this.now += 2 * this.state(letter).timing.electionTimeoutMs;
    this.tick(letter);
    this.settle();
    this.leaderOf(letter);
  }

  propose(letter: string, text: string, expectedTerm?: Term): Ticket {
    const ticket = ++this.#tickets;
    const data = new TextEncoder().encode(text);
    const expected = expectedTerm === undefined ? {} : { expectedTerm };
    const proposals = [{ ticket, data, ...expected }];
    this.event(letter, { type: 'propose', now: MonotonicMs(this.now), proposals });
    return ticket;
  }

  read(letter: string, consistency: 'linearizable' | 'lease' = 'linearizable'): Ticket {
    const ticket = ++this.#tickets;
    this.event(letter, { type: 'read', now: MonotonicMs(this.now), ticket, consistency });
    return ticket;
  }

  change(letter: string, change: MembershipChange): Ticket {
    const ticket = ++this.#tickets;
    this.event(letter, { type: 'changeMembership', now: MonotonicMs(this.now), ticket, change });
    return ticket;
  }

  transfer(letter: string, target: string | undefined): Ticket {
    const ticket = ++this.#tickets;
    const to = target === undefined ? undefined : peer(target);
    const now = MonotonicMs(this.now);
    this.event(letter, { type: 'transferLeadership', now, ticket, target: to });
    return ticket;
  }

  campaign(letter: string, electionTimeoutMs = 1_000): Ticket {
    const ticket = ++this.#tickets;
    this.event(letter, { type: 'campaign', now: MonotonicMs(this.now), ticket, electionTimeoutMs });
    return ticket;
  }

  resetPeers(letter: string, voters: string): Ticket {
    const ticket = ++this.#tickets;
    const peers = new Set(voters.split('').map(peer));
    const term = Term(this.node(letter).state.hardState.term + 1);
    const now = MonotonicMs(this.now);
    this.event(letter, { type: 'resetPeers', now, ticket, voters: peers, term });
    return ticket;
  }

  /** Cuts `letters` off from the rest. */
  isolate(letters: string): void {
    const inside = (id: PeerId): boolean => letters.includes(letterOf(id));
    this.deliver = ({ from, to }) => inside(from) === inside(to);
  }

  heal(): void {
    this.deliver = () => true;
  }

  /** The letters that lead, in order. */
  leaders(): string[] {
    return [...this.nodes.values()]
      .filter(({ state }) => state.role.type === 'leader')
      .map(({ letter }) => letter);
  }

  /** The texts of the DATA entries that a node may apply. */
  committed(letter: string): string[] {
    const { state, disk } = this.node(letter);
    return disk.entries
      .filter(({ id }) => id.index <= state.commitIndex)
      .flatMap((entry) => (entry.kind === 'data' ? [new TextDecoder().decode(entry.data)] : []));
  }

  #coreOptions(letter: string, incarnation: Incarnation): CoreOptions {
    return {
      id: peer(letter),
      incarnation,
      seed: (this.#options.seed ?? 1) * 1_000 + letter.charCodeAt(0),
      electionTimeoutMs: 1_000,
      clockDriftMaxMs: 100,
      leaderLease: false,
      catchUpTimeoutMs: 0,
      catchUpTotalTimeoutMs: 60_000,
      catchUpMarginEntries: 10,
      appendBytesMax: 512 * 1024,
      inFlightEntriesMax: 4_096,
      inFlightBytesMax: 8 * 1024 * 1024,
      recentBytesMax: 16 * 1024 * 1024,
      formatVersionMax: 1,
      ...this.#options.core,
    };
  }

  #send(message: Message): void {
    this.observer.sent?.(message);
    this.messages.push(message);
  }

  #carryOut(node: CoreNode, effect: Effect): void {
    this.observer.effect?.(node.letter, effect);
    switch (effect.type) {
      case 'persist':
      case 'install':
        node.enqueue(effect);
        break;
      case 'send':
        this.#send(effect.message);
        break;
      case 'commit':
        this.event(node.letter, { type: 'applied', index: effect.index });
        break;
      case 'fetch': {
        let bytes = 0;
        const entries = node.disk.entries.filter((entry) => {
          if (entry.id.index < effect.from || entry.id.index > effect.to) return false;
          const fits = bytes < effect.bytesMax;
          bytes += entryBytes(entry);
          return fits;
        });
        this.event(node.letter, { type: 'fetched', peer: effect.peer, entries });
        break;
      }
      case 'sendSnapshot':
        this.#offerSnapshot(node, effect);
        break;
      case 'downloadSnapshot':
        this.event(node.letter, { type: 'snapshotDownloaded', meta: effect.meta });
        break;
      default:
        this.#recordAnswer(node, effect);
    }
  }

  #recordAnswer(node: CoreNode, effect: Effect): void {
    if (effect.type === 'proposed') {
      this.answers.set(effect.ticket, { type: 'proposed', index: effect.id.index });
    } else if (effect.type === 'readReady') {
      this.answers.set(effect.ticket, { type: 'read', index: effect.index });
    } else if (effect.type === 'refused') {
      this.answers.set(effect.ticket, { type: 'refused', refusal: effect.refusal });
    } else if (effect.type === 'done') {
      const newVoters = (effect.newVoters ?? []).map(letterOf).sort();
      this.answers.set(effect.ticket, { type: 'done', newVoters });
    } else if (effect.type === 'roleChanged') {
      const { previousRole, role, term } = effect;
      this.trace.push(`${node.letter}: ${previousRole} -> ${role}, term ${String(term)}`);
    }
  }

  #makeDurable(node: CoreNode, effect: Extract<Effect, { type: 'persist' | 'install' }>): void {
    const { disk } = node;
    if (effect.type === 'install') {
      disk.snapshot = effect.meta;
      const { index } = effect.meta.lastIncluded;
      disk.entries = effect.resetLog ? [] : disk.entries.filter(({ id }) => id.index > index);
      this.event(node.letter, { type: 'applied', index });
    } else {
      const { truncateFrom, entries } = effect.write;
      if (truncateFrom !== undefined) {
        disk.entries = disk.entries.filter(({ id }) => id.index < truncateFrom);
      }
      disk.entries.push(...entries);
    }
    const boundary = disk.snapshot?.lastIncluded ?? { index: LogIndex(0), term: Term(0) };
    const lastLog = disk.entries.at(-1)?.id ?? boundary;
    for (const message of effect.thenSend) this.#send(message);
    const hardState = effect.hardState ?? node.state.durableHardState;
    this.event(node.letter, { type: 'persisted', lastLog, hardState });
  }

  #offerSnapshot(node: CoreNode, effect: Extract<Effect, { type: 'sendSnapshot' }>): void {
    const { state } = node;
    if (state.snapshot === undefined) throw new Error(`${node.letter} has no snapshot to offer`);
    this.#send({
      type: 'installSnapshotRequest',
      term: effect.term,
      from: state.options.id,
      fromIncarnation: state.options.incarnation,
      to: effect.to,
      toIncarnation: effect.toIncarnation,
      meta: state.snapshot,
      copyId: 'copy',
    });
  }
}

/** Saves a snapshot of everything a node has applied. */
export function saveSnapshot(cluster: CoreCluster, letter: string): void {
  const state = cluster.state(letter);
  const index = state.appliedIndex;
  const term = state.log.termAt(index);
  if (term === undefined) throw new Error('the applied entry is gone');
  const { index: configurationIndex, ...configuration } = state.configurations.at(index);
  const meta = { lastIncluded: { index, term }, configuration, configurationIndex };
  cluster.event(letter, { type: 'snapshotSaved', meta });
}

/** What a node recovers from its test disk after a crash: only what was made durable. */
export function recoveredFrom(node: Pick<CoreNode, 'disk' | 'state'>): Partial<Recovered> {
  const { entries, snapshot } = node.disk;
  const boundary = snapshot?.lastIncluded ?? { index: LogIndex(0), term: Term(0) };
  const firstIndex = entries[0]?.id.index ?? next(boundary.index);
  const termRuns: { first: LogIndex; term: Term }[] = [];
  for (const { id } of entries) {
    if (termRuns.at(-1)?.term !== id.term) termRuns.push({ first: id.index, term: id.term });
  }
  const configurations = entries.flatMap((entry) =>
    entry.kind === 'configuration' ? [{ ...entry.configuration, index: entry.id.index }] : [],
  );
  const lastIndex = entries.at(-1)?.id.index ?? LogIndex(firstIndex - 1);
  return {
    hardState: node.state.durableHardState,
    log: { firstIndex, lastIndex, termRuns, configurations },
    snapshot,
    joined: true,
    firstStart: false,
  };
}

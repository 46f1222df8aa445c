import type { SimulationRandom } from '../simulation/random.ts';

/** One entry of the log with everything before it; the configuration is the one in force there. */
export type Entry = {
  readonly index: number;
  readonly term: number;
  readonly parent: Entry | undefined;
  readonly configuration: Configuration;
};

export type Configuration = {
  /** Ordinals with the disk each is bound to, empty while it is not. */
  readonly voters: ReadonlyMap<number, string>;
  /** The voters that are being left: present in joint consensus only. */
  readonly outgoing: ReadonlyMap<number, string> | undefined;
  readonly fence: number;
  readonly operations: readonly string[];
  readonly index: number;
};

/** What a volume holds. */
export type Disk = {
  readonly id: string;
  /** The only node that can use it. */
  node: string | undefined;
  incarnation: string;
  clusterId: string;
  lineage: string;
  joined: boolean;
  tail: Entry | undefined;
  knownCommit: number;
  term: number;
  lost: boolean;
};

type Contact = {
  readonly incarnation: string;
  readonly matchIndex: number;
  readonly atMs: number;
};

type Change = {
  readonly voters: readonly number[];
  readonly added: readonly number[];
  readonly operationId: string;
  readonly fence: number;
  readonly startedAtMs: number;
};

/** A running server: what it forgets when it stops. */
export type Server = {
  readonly podUid: string;
  readonly ordinal: number;
  readonly disk: Disk;
  leads: boolean;
  heardLeaderAtMs: number;
  quorumAtMs: number;
  contacts: Map<number, Contact>;
  change: Change | undefined;
};

/** What a caller asks with a change of the membership. */
export type Guard = {
  readonly fence: number;
  readonly configurationIndex: number;
  readonly operationId: string;
};

/** A call was refused; nothing was done. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

const ELECTION_MS = 2_000;
/** Entries that reach a member in one step. */
const ENTRIES_PER_STEP = 8;
/** A newcomer that has come so close is let in. */
const CATCH_UP_MARGIN = 3;

/** The group as an abstract machine: one step is a second in which everybody reachable talks. */
export class RaftGroup {
  readonly #random: SimulationRandom;
  readonly #servers = new Map<string, Server>();
  /** The last entry that was ever committed. */
  committed: Entry | undefined;
  /** Every group that was ever begun, by the id of its cluster. */
  readonly founded: string[] = [];
  #incarnations = 0;

  constructor(random: SimulationRandom) {
    this.#random = random;
  }

  start(podUid: string, ordinal: number, disk: Disk, nowMs: number): void {
    if (disk.incarnation === '') disk.incarnation = `i${String(++this.#incarnations)}`;
    this.#servers.set(podUid, {
      ...{ podUid, ordinal, disk, leads: false, change: undefined },
      ...{ heardLeaderAtMs: nowMs, quorumAtMs: nowMs, contacts: new Map() },
    });
  }

  stop(podUid: string): void {
    this.#servers.delete(podUid);
  }

  get(podUid: string): Server | undefined {
    return this.#servers.get(podUid);
  }

  /** The members' disks bound by the last committed configuration. */
  voters(): ReadonlyMap<number, string> {
    return this.committed?.configuration.voters ?? new Map<number, string>();
  }

  /** The voters after changes that have begun, as far as they are bound already. */
  plannedVoters(): readonly ReadonlyMap<number, string>[] {
    return [...this.#servers.values()].flatMap(({ change, disk }) => {
      if (change === undefined) return [];
      const bound = votersOf(disk.tail);
      return [new Map(change.voters.map((ordinal) => [ordinal, bound.get(ordinal) ?? '']))];
    });
  }

  step(reachable: readonly Server[], nowMs: number): void {
    const leaders = reachable.filter(({ leads }) => leads);
    leaders.sort((a, b) => b.disk.term - a.disk.term);
    for (const leader of leaders) if (leader.leads) this.#lead(leader, reachable, nowMs);
    this.#campaign(reachable, nowMs);
  }

  /** A client's write, accepted by whoever leads. */
  write(reachable: readonly Server[]): void {
    for (const leader of reachable) if (leader.leads) append(leader);
  }

  /** Whether a quorum answers this leader now. */
  isConfirmed(leader: Server, reachable: readonly Server[]): boolean {
    const { tail, term } = leader.disk;
    if (!leader.leads || tail === undefined) return false;
    if (!this.#ownTerm(tail, leader.disk.knownCommit, term)) return false;
    const answers = (ordinal: number, bound: string): boolean =>
      reachable.some(
        ({ disk, ordinal: other }) =>
          other === ordinal && isBound(bound, disk) && disk.term <= term && disk.joined,
      );
    return decides(tail.configuration, answers);
  }

  bootstrap({ disk, ordinal, ...server }: Server, clusterId: string, nowMs: number): void {
    if (disk.joined && disk.clusterId === clusterId && votersOf(disk.tail).has(ordinal)) return;
    if (disk.joined || disk.tail !== undefined) throw new Refused('this disk belongs to a group');
    if (disk.clusterId !== '' && disk.clusterId !== clusterId) throw new Refused('another cluster');
    this.founded.push(clusterId);
    const voters = new Map([[ordinal, disk.incarnation]]);
    const configuration = { voters, outgoing: undefined, fence: 0, operations: [], index: 1 };
    Object.assign(disk, {
      ...{ clusterId, joined: true, term: disk.term + 1, lineage: `of-${disk.incarnation}` },
      tail: { index: 1, term: disk.term + 1, parent: undefined, configuration },
    });
    const live = this.#servers.get(server.podUid);
    if (live !== undefined) Object.assign(live, { leads: true, quorumAtMs: nowMs });
  }

  /** As the server's checkMayLeave: not a leader's disk, nor one that its group still counts. */
  joinFresh({ disk, leads, ordinal, heardLeaderAtMs }: Server, old: string, nowMs: number): void {
    if (disk.incarnation !== old) throw new Refused('another incarnation');
    if (leads) throw new Refused('this server leads');
    const hears = nowMs - heardLeaderAtMs < ELECTION_MS;
    const { index = 0, voters, outgoing } = disk.tail?.configuration ?? {};
    const member = voters?.has(ordinal) === true || outgoing?.has(ordinal) === true;
    if (hears && (index > disk.knownCommit || member)) throw new Refused('still a member');
    wipe(disk);
  }

  claim(leader: Server, guard: Guard): void {
    const { configuration } = this.#guarded(leader, guard) ?? {};
    if (configuration === undefined) return;
    const operations = [...configuration.operations, guard.operationId];
    append(leader, { ...configuration, fence: guard.fence, operations });
  }

  changePeers(leader: Server, voters: readonly number[], guard: Guard, nowMs: number): void {
    if (leader.change?.operationId === guard.operationId) return;
    const { configuration } = this.#guarded(leader, guard) ?? {};
    if (configuration === undefined) return;
    const added = voters.filter((ordinal) => !configuration.voters.has(ordinal));
    leader.change = { ...guard, voters, added, startedAtMs: nowMs };
  }

  transfer(leader: Server, to: number, reachable: readonly Server[]): void {
    if (!leader.leads || leader.change !== undefined) throw new Refused('busy');
    const heir = reachable.find(({ ordinal }) => ordinal === to);
    if (heir === undefined || heir.disk.tail !== leader.disk.tail) throw new Refused('lags');
    this.#elect(heir, reachable);
  }

  /** The entry that a guarded change starts from; undefined when it was done before. */
  #guarded(leader: Server, guard: Guard): Entry | undefined {
    const { tail, knownCommit, term } = leader.disk;
    if (!leader.leads || tail === undefined) throw new Refused('not the leader');
    const { configuration } = tail;
    const settled = configuration.index <= knownCommit && this.#ownTerm(tail, knownCommit, term);
    if (configuration.operations.includes(guard.operationId)) return undefined;
    if (leader.change !== undefined || !settled || configuration.outgoing !== undefined)
      throw new Refused('another change is under way');
    if (guard.fence < configuration.fence) throw new Refused('an older fence');
    if (guard.configurationIndex !== configuration.index) throw new Refused('another membership');
    return tail;
  }

  #ownTerm(tail: Entry, commitIndex: number, term: number): boolean {
    return ancestor(tail, commitIndex)?.term === term;
  }

  #lead(leader: Server, reachable: readonly Server[], nowMs: number): void {
    for (const other of reachable) {
      if (other !== leader) this.#replicate(leader, other, nowMs);
      if (!leader.leads) return;
    }
    const { tail } = leader.disk;
    if (tail === undefined) return;
    leader.heardLeaderAtMs = nowMs;
    const answers = (ordinal: number): boolean =>
      (ordinal === leader.ordinal ? nowMs : (leader.contacts.get(ordinal)?.atMs ?? -1)) === nowMs;
    if (decides(tail.configuration, answers)) leader.quorumAtMs = nowMs;
    if (nowMs - leader.quorumAtMs > ELECTION_MS) return resign(leader);
    this.#commit(leader);
    this.#goOn(leader, nowMs);
  }

  #replicate(leader: Server, other: Server, nowMs: number): void {
    const { disk } = leader;
    const { tail } = disk;
    if (tail === undefined || !this.#talks(leader, other)) return;
    if (other.disk.term > disk.term) return resign(leader);
    if (other.leads) resign(other);
    const common = commonOf(tail, other.disk.tail);
    const reached = Math.min(tail.index, (common?.index ?? 0) + ENTRIES_PER_STEP);
    Object.assign(other.disk, {
      ...{ joined: true, clusterId: disk.clusterId, lineage: disk.lineage, term: disk.term },
      tail: ancestor(tail, reached),
      knownCommit: Math.max(other.disk.knownCommit, Math.min(disk.knownCommit, reached)),
    });
    other.heardLeaderAtMs = nowMs;
    const { incarnation } = other.disk;
    leader.contacts.set(other.ordinal, { incarnation, matchIndex: reached, atMs: nowMs });
  }

  /** Whether the leader sends to that disk, and the disk takes what it sends. */
  #talks({ disk, change }: Server, other: Server): boolean {
    const bound = bindingOf(disk.tail, other.ordinal);
    const isMeant = bound !== undefined || change?.added.includes(other.ordinal) === true;
    const foreign = other.disk.joined && other.disk.lineage !== disk.lineage;
    return isMeant && !foreign && isBound(bound ?? '', other.disk);
  }

  #commit(leader: Server): void {
    const { disk } = leader;
    for (let at = disk.tail; at !== undefined && at.index > disk.knownCommit; at = at.parent) {
      const { index, term } = at;
      const has = (ordinal: number): boolean =>
        ordinal === leader.ordinal || (leader.contacts.get(ordinal)?.matchIndex ?? 0) >= index;
      if (term !== disk.term || disk.tail === undefined) return;
      if (!decides(at.configuration, has) || !decides(disk.tail.configuration, has)) continue;
      disk.knownCommit = index;
      if (index > (this.committed?.index ?? 0)) this.committed = at;
      return;
    }
  }

  /** Catch-up, then a joint entry if more than one voter differs, then the stable one. */
  #goOn(leader: Server, nowMs: number): void {
    const { tail, knownCommit } = leader.disk;
    if (tail === undefined || tail.configuration.index > knownCommit) return;
    const { configuration } = tail;
    if (configuration.outgoing !== undefined) {
      append(leader, { ...configuration, outgoing: undefined });
      return;
    }
    if (!configuration.voters.has(leader.ordinal)) return resign(leader);
    if (leader.change !== undefined) this.#beginOrFail(leader, leader.change, nowMs);
    else this.#bind(leader, configuration);
  }

  #beginOrFail(leader: Server, change: Change, nowMs: number): void {
    const { tail } = leader.disk;
    if (tail === undefined) return;
    const { configuration, index } = tail;
    const contacts = change.added.map((ordinal) => leader.contacts.get(ordinal));
    const silent = contacts.some(
      (one) => nowMs - Math.max(one?.atMs ?? 0, change.startedAtMs) > ELECTION_MS,
    );
    if (silent) {
      leader.change = undefined;
      return;
    }
    const close = contacts.every(
      (one) => one?.atMs === nowMs && one.matchIndex + CATCH_UP_MARGIN >= index,
    );
    if (!close) return;
    const old = configuration.voters;
    const voters = new Map(change.voters.map((ordinal) => [ordinal, old.get(ordinal) ?? '']));
    const gone = [...old.keys()].filter((ordinal) => !voters.has(ordinal));
    const joint = gone.length + change.added.length > 1;
    const operations = [...configuration.operations, change.operationId];
    const { fence } = change;
    const outgoing = joint ? old : undefined;
    leader.change = undefined;
    append(leader, { ...configuration, voters, outgoing, fence, operations });
  }

  /** Members that were heard of for the first time are bound to their disks. */
  #bind(leader: Server, configuration: Configuration): void {
    const voters = bindAll(leader, configuration.voters);
    if ([...voters].some(([ordinal, disk]) => configuration.voters.get(ordinal) !== disk))
      append(leader, configuration);
  }

  #campaign(reachable: readonly Server[], nowMs: number): void {
    for (const server of this.#random.shuffle(reachable)) {
      const { disk, ordinal, leads } = server;
      const waited = nowMs - server.heardLeaderAtMs >= ELECTION_MS;
      const mine = bindingOf(disk.tail, ordinal);
      const may = disk.joined && mine !== undefined && isBound(mine, disk);
      if (leads || !waited || !may || !this.#random.chance(0.6)) continue;
      const free = reachable.filter(
        (one) => one === server || nowMs - one.heardLeaderAtMs >= ELECTION_MS,
      );
      if (this.#elect(server, free)) return;
    }
  }

  #elect(candidate: Server, electorate: readonly Server[]): boolean {
    const { disk } = candidate;
    const { tail } = disk;
    if (tail === undefined) return false;
    const grants = (ordinal: number, bound: string): boolean =>
      electorate.some(
        (one) =>
          one.ordinal === ordinal &&
          isBound(bound, one.disk) &&
          (one === candidate || (one.disk.joined && isUpToDate(tail, one.disk.tail))),
      );
    if (!decides(tail.configuration, grants)) return false;
    const term = Math.max(...electorate.map((one) => one.disk.term)) + 1;
    for (const one of electorate) {
      const { voters, outgoing } = tail.configuration;
      if (!voters.has(one.ordinal) && outgoing?.has(one.ordinal) !== true) continue;
      if (one.leads) resign(one);
      one.disk.term = term;
    }
    const heardLeaderAtMs = Math.max(...electorate.map((one) => one.heardLeaderAtMs));
    Object.assign(candidate, { leads: true, change: undefined, contacts: new Map() });
    candidate.quorumAtMs = heardLeaderAtMs + ELECTION_MS * 2;
    append(candidate, tail.configuration);
    return true;
  }
}

function append(leader: Server, configuration?: Configuration): void {
  const { disk } = leader;
  const { tail, term } = disk;
  if (tail === undefined) return;
  const index = tail.index + 1;
  disk.tail = {
    ...{ index, term, parent: tail },
    configuration:
      configuration === undefined
        ? tail.configuration
        : { ...configuration, index, voters: bindAll(leader, configuration.voters) },
  };
}

function bindAll(
  { ordinal: own, disk, contacts }: Server,
  voters: ReadonlyMap<number, string>,
): ReadonlyMap<number, string> {
  const heard = (ordinal: number): string =>
    ordinal === own ? disk.incarnation : (contacts.get(ordinal)?.incarnation ?? '');
  return new Map(
    [...voters].map(([ordinal, bound]) => [ordinal, bound === '' ? heard(ordinal) : bound]),
  );
}

function resign(server: Server): void {
  Object.assign(server, { leads: false, change: undefined, contacts: new Map() });
}

function wipe(disk: Disk): void {
  Object.assign(disk, {
    ...{ incarnation: '', clusterId: '', lineage: '', joined: false },
    ...{ tail: undefined, knownCommit: 0, term: 0 },
  });
}

function votersOf(tail: Entry | undefined): ReadonlyMap<number, string> {
  return tail?.configuration.voters ?? new Map<number, string>();
}

/** The disk of a member; undefined for others. */
function bindingOf(tail: Entry | undefined, ordinal: number): string | undefined {
  const { voters, outgoing } = tail?.configuration ?? {};
  return voters?.get(ordinal) ?? outgoing?.get(ordinal);
}

function isBound(bound: string, disk: Disk): boolean {
  return bound === '' || bound === disk.incarnation;
}

function isUpToDate(candidate: Entry, voter: Entry | undefined): boolean {
  if (voter === undefined) return true;
  if (candidate.term !== voter.term) return candidate.term > voter.term;
  return candidate.index >= voter.index;
}

function decides(
  { voters, outgoing }: Configuration,
  agrees: (ordinal: number, bound: string) => boolean,
): boolean {
  const majority = (of: ReadonlyMap<number, string>): boolean =>
    [...of].filter(([ordinal, bound]) => agrees(ordinal, bound)).length * 2 > of.size;
  return majority(voters) && (outgoing === undefined || majority(outgoing));
}

/** The entry at `index` of the log that ends with `tail`. */
export function ancestor(tail: Entry | undefined, index: number): Entry | undefined {
  let at = tail;
  while (at !== undefined && at.index > index) at = at.parent;
  return at;
}

/** Whether the log that ends with `tail` has `entry` in it. */
export function holds(tail: Entry | undefined, entry: Entry): boolean {
  return ancestor(tail, entry.index) === entry;
}

function commonOf(a: Entry, b: Entry | undefined): Entry | undefined {
  let [left, right] = [ancestor(a, b?.index ?? 0), ancestor(b, a.index)];
  while (left !== right) [left, right] = [left?.parent, right?.parent];
  return left;
}

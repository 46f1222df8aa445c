import type { PeerId } from '../../server/raft/core/ids.ts';
import type { NodeApi } from '../../server/raft/node/node-api.ts';
import type { GroupObserver } from './group-observer.ts';
import type { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimulatedServer } from './simulated-server.ts';
import type { Trace } from './trace.ts';

/** A leader's administration, as the operator uses it. */
type Leader = Omit<NodeApi<unknown>, 'apply'>;

export type OperatorSurroundings = {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly observer: GroupObserver;
  readonly servers: readonly SimulatedServer[];
  /** Ends a server's process, with its connections. */
  readonly stop: (server: SimulatedServer) => void;
  readonly start: (server: SimulatedServer) => void;
};

const RETRY_MS = 300;
const PATIENCE_MS = 5_000;
/** A member that loses its disk must leave a majority behind. */
const VOTERS_TO_LOSE_ONE = 3;

/**
 * Changes the members of the group through the public node API, one thing at a time, as a careful
 * administrator would: whoever loses a disk is taken out before it is taken in again, and no second
 * disk may be lost meanwhile.
 */
export class SimulatedOperator {
  readonly #surroundings: OperatorSurroundings;
  readonly #random: SimulationRandom;
  #busy = false;
  /** Whose disk was damaged, until it is known whether the damage did any harm. */
  #suspect: SimulatedServer | undefined;

  constructor(surroundings: OperatorSurroundings, random: SimulationRandom) {
    this.#surroundings = surroundings;
    this.#random = random;
  }

  /** Nothing is under way. */
  isIdle(): boolean {
    return !this.#busy && this.#suspect === undefined;
  }

  /** Asks the leader for a change; it may well be refused. */
  change(): boolean {
    const leader = this.#leader();
    if (leader === undefined || !this.isIdle()) return false;
    this.#busy = true;
    void this.#patiently(this.#drawChange(leader)).finally(() => {
      this.#busy = false;
    });
    return true;
  }

  /** Destroys a member's disk and replaces the member; says whether it could be. */
  loseDisk(server: SimulatedServer): boolean {
    if (!this.#mayLose(server)) return false;
    this.#surroundings.stop(server);
    this.#replace(server);
    return true;
  }

  /** Claims the right to damage a member's disk; the next start shows what came of it. */
  suspect(server: SimulatedServer): boolean {
    if (!this.#mayLose(server)) return false;
    this.#suspect = server;
    return true;
  }

  /** A server has started: whatever was damaged there did no harm. */
  started(server: SimulatedServer): void {
    if (this.#suspect === server) this.#suspect = undefined;
  }

  /** A server refuses to start or stopped: its damaged disk is replaced. False: not damaged. */
  failed(server: SimulatedServer): boolean {
    if (this.#suspect !== server) return false;
    this.#suspect = undefined;
    this.#replace(server);
    return true;
  }

  async #drawChange(leader: Leader): Promise<unknown> {
    const { configuration } = leader.status().configuration;
    const { voters, learners } = configuration;
    const peers = this.#surroundings.servers.map(({ peer }) => peer);
    const strangers = peers.filter((peer) => !voters.has(peer) && !learners.has(peer));
    const stranger = this.#random.pick(strangers);
    const voter = this.#random.pick([...voters]);
    const learner = this.#random.pick([...learners]);
    switch (this.#random.integer(0, 6)) {
      case 0:
        return stranger && leader.addPeer(stranger);
      case 1:
        return voter && leader.removePeer(voter);
      case 2:
        return stranger && leader.addLearner(stranger);
      case 3:
        return learner && leader.promoteLearner(learner);
      case 4:
        return learner && leader.removeLearner(learner);
      default:
        return leader.changePeers(this.#drawVoters(peers));
    }
  }

  #drawVoters(peers: readonly PeerId[]): ReadonlySet<PeerId> {
    const size = this.#random.integer(1, peers.length);
    return new Set(this.#random.shuffle(peers).slice(0, size));
  }

  #replace(server: SimulatedServer): void {
    this.#busy = true;
    // A violation ends the run on its own; nothing else rejects.
    void this.#replaceStepByStep(server).finally(() => {
      this.#busy = false;
    });
  }

  async #replaceStepByStep(server: SimulatedServer): Promise<void> {
    const { observer, trace, start } = this.#surroundings;
    const { peer } = server;
    const isMember = (): boolean => {
      const { voters, outgoing, learners } = observer.configurations.latest();
      return [voters, outgoing, learners].some((members) => members?.has(peer));
    };
    trace.event(() => `operator replaces the disk of ${peer}`);
    // An impatient one starts the empty disk at once: it must count for nothing.
    const early = this.#random.chance(0.5);
    server.wipe();
    if (early) start(server);
    await this.#insist(
      () => !isMember(),
      (leader) => leader.removePeer(peer),
    );
    if (!early) start(server);
    await this.#insist(isMember, (leader) => leader.addPeer(peer));
    trace.event(() => `operator has replaced the disk of ${peer}`);
  }

  /** Asks again and again until the group has committed what is wanted. */
  async #insist(isDone: () => boolean, ask: (leader: Leader) => Promise<unknown>): Promise<void> {
    while (!isDone()) {
      const leader = this.#leader();
      if (leader !== undefined) await this.#patiently(ask(leader));
      await this.#surroundings.scheduler.sleep(RETRY_MS);
    }
  }

  /** A refusal is an expected outcome, and a leader that dies never answers. */
  async #patiently(request: Promise<unknown>): Promise<void> {
    const answer = request.catch(() => undefined);
    await Promise.race([answer, this.#surroundings.scheduler.sleep(PATIENCE_MS)]);
  }

  #leader(): Leader | undefined {
    const nodes = this.#surroundings.servers.flatMap((server) => server.node()?.node ?? []);
    const leaders = nodes.filter((node) => node.isLeader());
    return leaders.toSorted((a, b) => b.status().term - a.status().term)[0];
  }

  /** Only while no change is under way anywhere, and others hold all that is committed. */
  #mayLose({ peer }: SimulatedServer): boolean {
    const leader = this.#leader();
    if (leader === undefined || !this.isIdle()) return false;
    const { term, configuration, committedIndex, changeStage } = leader.status();
    const { voters, outgoing } = configuration.configuration;
    const { committed } = this.#surroundings.observer;
    const isSettled =
      outgoing === undefined &&
      changeStage === 'none' &&
      configuration.index <= committedIndex &&
      committed.at(committed.lastIndex())?.entry.id.term === term;
    return isSettled && voters.has(peer) && voters.size >= VOTERS_TO_LOSE_ONE;
  }
}

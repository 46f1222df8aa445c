import { LogIndex, type PeerId } from '../../server/raft/core/ids.ts';
import { parsePeerId } from '../../server/raft/core/peer-id.ts';
import { step } from '../../server/raft/core/step.ts';
import { BlackBox } from './black-box.ts';
import { check } from './checkers/violation.ts';
import { decodeWrites } from './counter-machine.ts';
import { startCounterNode, type CounterNode } from './counter-node.ts';
import { ClientNetwork } from './counter-service.ts';
import { planFaults } from './fault-plan.ts';
import { flipSomeBit, forgeSomeRecord } from './damage.ts';
import { inject } from './faults.ts';
import { GroupObserver } from './group-observer.ts';
import { SimulatedNetwork, type NetworkQuality } from './network.ts';
import type { ProcessGate } from './process-gate.ts';
import { SimulationRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { drawSettings, type FaultKind, type Settings } from './settings.ts';
import { SimulatedClient, type ClientRecord } from './simulated-client.ts';
import { SimulatedClock } from './simulated-clock.ts';
import { SimulatedOperator } from './simulated-operator.ts';
import { SimulatedServer } from './simulated-server.ts';
import { Trace } from './trace.ts';

/** What a run came to. */
export type SimulationResult = {
  readonly seed: number;
  /** Why it failed; undefined when nothing did. */
  readonly violation: string | undefined;
  readonly traceHash: string;
  readonly simulatedMs: number;
  readonly faults: number;
  readonly completed: number;
  readonly leaderChanges: number;
  readonly events: number;
  /** Configurations with other members than the one before. */
  readonly memberChanges: number;
  readonly faultsByKind: Readonly<Partial<Record<FaultKind, number>>>;
  /** Enough happened for the run to prove something. */
  readonly counted: boolean;
  readonly lines: readonly string[];
};

export type SimulationOptions = {
  readonly seed: number;
  readonly forMs?: number; // 60_000
  readonly readable?: boolean;
  /** A faulty core in the place of the real one. */
  readonly step?: typeof step;
  readonly settings?: Partial<Settings>;
};

const DEFAULT_MS = 60_000;
const FAULTS_MIN = 4;
const COMPLETED_MIN = 100;
/** How long a healed group may need, in election timeouts. */
const HEALING_TIMEOUTS = 40;
const RESTART_AGAIN_MS = 1_000;
/** The search for an order of all operations takes long: every so many seeds. */
const BLACK_BOX_EVERY = 50;

/** Runs one seed from start to end; never rejects because of a violation. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  return simulation.run();
}

class Simulation {
  readonly #settings: Settings;
  readonly #options: SimulationOptions;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  readonly #observer: GroupObserver;
  readonly #network: SimulatedNetwork;
  readonly #servers: readonly SimulatedServer[];
  readonly #clients: readonly SimulatedClient[];
  readonly #calm: NetworkQuality;
  readonly #random: SimulationRandom;
  readonly #initialVoters: ReadonlySet<PeerId>;
  readonly #operator: SimulatedOperator;
  readonly #blackBox: BlackBox | undefined;
  readonly #faults = new Map<FaultKind, number>();

  constructor(options: SimulationOptions) {
    const { seed } = options;
    this.#options = options;
    this.#settings = { ...drawSettings(seed), ...options.settings };
    this.#random = new SimulationRandom(seed, 'processes');
    this.#blackBox = seed % BLACK_BOX_EVERY === 0 ? new BlackBox() : undefined;
    this.#scheduler = new Scheduler(new SimulationRandom(seed, 'order'));
    this.#trace = new Trace(() => this.#scheduler.now(), options.readable ?? false);
    const { latencyMs, servers, spares } = this.#settings;
    this.#calm = {
      ...{ latencyMs, jitterMs: latencyMs / 2 },
      ...{ lossChance: 0, duplicateChance: 0, reorderChance: 0 },
    };
    const peers = Array.from({ length: servers + spares }, (_, number) => peerOf(number));
    this.#initialVoters = new Set(peers.slice(0, servers));
    this.#observer = new GroupObserver({
      initialVoters: this.#initialVoters,
      diskOf: (peer, incarnation) => this.#serverOf(peer)?.promisesOf(incarnation),
      writesIn: decodeWrites,
      onFailure: () => {
        this.#scheduler.stop();
      },
    });
    this.#network = new SimulatedNetwork({
      scheduler: this.#scheduler,
      random: new SimulationRandom(seed, 'network'),
      trace: this.#trace,
      quality: this.#calm,
      onSend: (from, message) => {
        this.#observer.messageSent(from, message);
      },
    });
    this.#servers = peers.map((peer, number) => this.#newServer(peer, number));
    this.#clients = this.#newClients();
    this.#operator = this.#newOperator();
  }

  async run(): Promise<SimulationResult> {
    const endMs = this.#options.forMs ?? DEFAULT_MS;
    try {
      for (const server of this.#servers) this.#start(server);
      for (const client of this.#clients) client.start();
      this.#scheduleFaults(endMs);
      await this.#scheduler.run(endMs);
      await this.#heal();
      if (this.#observer.failure() === undefined) this.#blackBox?.check();
    } catch (error) {
      this.#observer.fail(error);
    }
    return this.#result();
  }

  #serverOf(peer: PeerId): SimulatedServer | undefined {
    return this.#servers.find((server) => server.peer === peer);
  }

  #newServer(peer: PeerId, number: number): SimulatedServer {
    const server = new SimulatedServer({
      ...{ peer, number, scheduler: this.#scheduler },
      random: new SimulationRandom(this.#settings.seed, `server ${number}`),
      speed: { syncMs: this.#settings.syncMs, otherMs: 0.02 },
      startNode: (starting, gate) => this.#startNode(starting, gate),
    });
    server.isJoining = !this.#initialVoters.has(peer);
    return server;
  }

  #newOperator(): SimulatedOperator {
    const surroundings = {
      ...{ scheduler: this.#scheduler, trace: this.#trace, observer: this.#observer },
      servers: this.#servers,
      stop: (server: SimulatedServer) => {
        server.kill();
        this.#network.detach(server.peer);
      },
      start: (server: SimulatedServer) => {
        this.#start(server);
      },
    };
    return new SimulatedOperator(
      surroundings,
      new SimulationRandom(this.#settings.seed, 'operator'),
    );
  }

  #newClients(): readonly SimulatedClient[] {
    const { seed, clients, thinkMs, registers, leaderLease } = this.#settings;
    const random = new SimulationRandom(seed, 'client network');
    const network = new ClientNetwork({
      ...{ scheduler: this.#scheduler, random },
      serverAt: (peer) => {
        const server = this.#serverOf(peer);
        if (server?.gate() === undefined) return undefined;
        return (request, respond) => void server.request(request, respond);
      },
      delayMs: () => this.#network.delayMs(),
    });
    const surroundings = {
      ...{ scheduler: this.#scheduler, network, counters: this.#observer.counters },
      trace: this.#trace,
      record: (record: ClientRecord) => {
        this.#blackBox?.record(record);
      },
      committedIndex: () => this.#observer.committed.lastIndex(),
      servers: () => this.#servers.map(({ peer }) => peer),
      judge: (body: () => void) => {
        this.#observer.judge(body);
      },
    };
    return Array.from({ length: clients }, (_, number) => {
      const habits = { number, thinkMs, registers, leaseReads: leaderLease };
      const own = new SimulationRandom(seed, `client ${number}`);
      return new SimulatedClient(surroundings, habits, own);
    });
  }

  #startNode(server: SimulatedServer, gate: ProcessGate): Promise<CounterNode> {
    const error = this.#settings.clockRateError;
    const rate = 1 + this.#random.between(-error, error);
    const startMs = this.#random.between(1_000, 1_000_000);
    return startCounterNode({
      ...{ server, observer: this.#observer, settings: this.#settings },
      clock: new SimulatedClock(this.#scheduler, gate, { rate, startMs }),
      transport: this.#network.attach(server.peer, gate),
      initialVoters: this.#initialVoters,
      drawSeed: () => this.#random.bits(),
      step: this.#options.step ?? step,
      onError: ({ type, error: cause }) => {
        this.#nodeFailed(server, `${type}: ${cause.message}`);
      },
    });
  }

  #start(server: SimulatedServer): void {
    this.#trace.event(() => `${server.peer} starts`);
    server.start().then(
      () => {
        this.#operator.started(server);
      },
      (error: unknown) => {
        this.#nodeFailed(server, error instanceof Error ? (error.stack ?? '') : String(error));
      },
    );
  }

  /** A node may stop because of its disk, and for no other reason. */
  #nodeFailed(server: SimulatedServer, reason: string): void {
    this.#trace.event(() => `${server.peer} stops: ${reason}`);
    if (!server.diskIsFaulty) this.#observer.fail(new Error(`${server.peer} stopped: ${reason}`));
    server.kill();
    this.#network.detach(server.peer);
    if (!this.#operator.failed(server)) this.#restartAfter(server, RESTART_AGAIN_MS);
  }

  #restartAfter(server: SimulatedServer, delayMs: number): void {
    this.#scheduler.after(delayMs, () => {
      if (server.gate() === undefined) this.#start(server);
    });
  }

  #scheduleFaults(endMs: number): void {
    const targets = {
      ...{ scheduler: this.#scheduler, network: this.#network, servers: this.#servers },
      ...{ calm: this.#calm, syncMs: this.#settings.syncMs },
      operator: this.#operator,
      damage: (server: SimulatedServer, random: SimulationRandom) => this.#damage(server, random),
      restartAfter: (server: SimulatedServer, delayMs: number) => {
        this.#restartAfter(server, delayMs);
      },
    };
    for (const fault of planFaults(this.#settings, endMs)) {
      this.#scheduler.after(fault.atMs, () => {
        this.#trace.event(() => `fault ${fault.number}: ${fault.kind}`);
        if (!inject(fault, targets)) return;
        this.#faults.set(fault.kind, (this.#faults.get(fault.kind) ?? 0) + 1);
      });
    }
  }

  #damage(server: SimulatedServer, random: SimulationRandom): boolean {
    const damage = this.#settings.forgedChecksums ? forgeSomeRecord : flipSomeBit;
    const where = damage(server.disk, random);
    if (where === undefined) return false;
    this.#trace.event(() => `${server.peer} damaged: ${where}`);
    server.diskIsFaulty = true;
    return true;
  }

  /** Mends everything; the group must then agree within a bounded time (TigerBeetle's liveness). */
  async #heal(): Promise<void> {
    if (this.#observer.failure() !== undefined) return;
    for (const client of this.#clients) client.stop();
    this.#mend();
    const patienceMs = HEALING_TIMEOUTS * this.#settings.electionTimeoutMs;
    const deadline = this.#scheduler.now() + patienceMs;
    while (this.#scheduler.now() < deadline && this.#disagreement() !== undefined) {
      await this.#scheduler.run(this.#scheduler.now() + this.#settings.electionTimeoutMs);
      if (this.#observer.failure() !== undefined) return;
      this.#mend();
    }
    const disagreement = this.#disagreement();
    check(disagreement === undefined, 'liveness', () => disagreement ?? '');
  }

  #mend(): void {
    this.#network.mendAll();
    this.#network.quality = this.#calm;
    for (const server of this.#servers) {
      server.disk.capacityBytes = Number.MAX_SAFE_INTEGER;
      server.speed.syncMs = this.#settings.syncMs;
      server.failingSyncs = 0;
      server.gate()?.resume();
    }
  }

  /** What keeps the healed group from being in agreement. */
  #disagreement(): string | undefined {
    const leaders = this.#servers.filter((server) => server.node()?.node.isLeader() === true);
    if (leaders.length !== 1) return `${leaders.length} leaders`;
    if (!this.#operator.isIdle()) return 'the operator has not finished';
    if (this.#clients.some((client) => client.isBusy())) return 'a call is not answered';
    const { voters, learners, outgoing } = this.#observer.configurations.latest();
    if (outgoing !== undefined) return 'joint consensus has not ended';
    for (const peer of [...voters, ...learners]) {
      const problem = this.#memberProblem(this.#serverOf(peer), leaders[0]?.node());
      if (problem !== undefined) return `${peer} ${problem}`;
    }
    return undefined;
  }

  /** What keeps a member from being like its leader. */
  #memberProblem(
    server: SimulatedServer | undefined,
    leader: CounterNode | undefined,
  ): string | undefined {
    const node = server?.node();
    const last = this.#observer.committed.lastIndex();
    if (node === undefined) return 'does not run';
    if (node.pending() > 0) return `owes ${node.pending()} answers`;
    const { knownAppliedIndex, state } = node.node.status();
    if (knownAppliedIndex !== LogIndex(last)) {
      return `(${state}) applied ${knownAppliedIndex} of ${last}`;
    }
    return node.machine.stateHash() === leader?.machine.stateHash() ? undefined : 'differs';
  }

  #result(): SimulationResult {
    const completed = this.#clients.reduce((sum, client) => sum + client.completed(), 0);
    const faults = [...this.#faults.values()].reduce((sum, count) => sum + count, 0);
    const leaderChanges = this.#observer.elections.changes();
    const simulatedMs = this.#scheduler.now();
    const counted =
      simulatedMs >= DEFAULT_MS &&
      faults >= FAULTS_MIN &&
      completed >= COMPLETED_MIN &&
      leaderChanges >= 1;
    const failure = this.#observer.failure();
    return {
      ...{ seed: this.#settings.seed, simulatedMs, faults, completed, leaderChanges },
      ...{ counted, traceHash: this.#trace.hash(), events: this.#scheduler.events() },
      memberChanges: this.#observer.configurations.changes(),
      faultsByKind: Object.fromEntries(this.#faults),
      violation: failure?.message,
      lines: [...this.#trace.lines(), ...(failure === undefined ? [] : [failure.stack ?? ''])],
    };
  }
}

function peerOf(number: number): PeerId {
  const parsed = parsePeerId(`server-${number}:8300`);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.peer;
}

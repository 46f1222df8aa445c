import type { step } from '../../server/raft/core/step.ts';
import { RaftError } from '../../server/raft/error.ts';
import { silentLogger } from '../../server/raft/node/logger.ts';
import { Node } from '../../server/raft/node/node.ts';
import type { NodeOptions } from '../../server/raft/node/node-options.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { fetchSnapshot } from '../../server/raft/transport/snapshot-copier.ts';
import type { Incarnation, PeerId } from '../../server/raft/core/ids.ts';
import type { NodeError } from '../../server/raft/node/state-machine.ts';
import type { Transport } from '../../server/raft/transport/transport.ts';
import { auditedStateMachine } from './audited-state-machine.ts';
import { auditedStorage } from './audited-storage.ts';
import { CounterMachine, encodeWrite, type PendingWrite } from './counter-machine.ts';
import type { CounterRequest, CounterResponse } from './counter-service.ts';
import type { DiskPromises } from './checkers/disk-promises.ts';
import type { GroupObserver } from './group-observer.ts';
import type { Settings } from './settings.ts';
import type { SimulatedClock } from './simulated-clock.ts';
import type { SimulatedDisk } from '../support/simulated-disk.ts';

const GROUP = 'simulated';
const DATA_PATH = '/data';

/** What a node is started with. */
export type CounterNodeParts = {
  readonly server: {
    readonly peer: PeerId;
    readonly number: number;
    readonly starts: number;
    readonly disk: SimulatedDisk;
    /** Its disk is empty and it waits to be added. */
    readonly isJoining: boolean;
    readonly promises: DiskPromises;
    readonly identified: (incarnation: Incarnation) => void;
  };
  readonly clock: SimulatedClock;
  readonly transport: Transport;
  readonly observer: GroupObserver;
  readonly settings: Settings;
  readonly initialVoters: ReadonlySet<PeerId>;
  readonly drawSeed: () => number;
  readonly step: typeof step;
  readonly onError: (error: NodeError) => void;
};

/** A running node and the counters it replicates: what a server process is made of. */
export class CounterNode {
  readonly node: Node<PendingWrite>;
  readonly machine: CounterMachine;
  #pending = 0;

  constructor(node: Node<PendingWrite>, machine: CounterMachine) {
    this.node = node;
    this.machine = machine;
  }

  /** Requests not answered yet. */
  pending(): number {
    return this.#pending;
  }

  /** Answers once what was asked for is done or has failed. */
  handle(request: CounterRequest, respond: (response: CounterResponse) => void): void {
    this.#pending++;
    const work = request.type === 'write' ? this.#write(request) : this.#read(request);
    void work
      .catch((error: unknown) => failureOf(error))
      .then((response) => {
        this.#pending--;
        respond(response);
      });
  }

  async #write({ write }: Extract<CounterRequest, { type: 'write' }>): Promise<CounterResponse> {
    const context: PendingWrite = {};
    const { index } = await this.node.apply({ data: encodeWrite(write), context });
    const { result } = context;
    if (result === undefined) throw new Error(`the task at ${index} was answered, not applied`);
    const { success: exchanged, oldValue } = result;
    return { type: 'written', index, result: { exchanged, oldValue } };
  }

  async #read(request: Extract<CounterRequest, { type: 'read' }>): Promise<CounterResponse> {
    await this.node.readIndex({ consistency: request.consistency });
    return { type: 'read', value: this.machine.value(request.id) };
  }
}

/** Opens the server's disk and starts its node. */
export async function startCounterNode(parts: CounterNodeParts): Promise<CounterNode> {
  const { server, clock, observer, settings } = parts;
  const { peer, promises } = server;
  const storage = await openStorage(server.disk, {
    dataPath: DATA_PATH,
    group: GROUP,
    peer,
    drawIncarnation: () => `disk-${server.number}-${server.starts}`,
    segmentBytesMax: settings.segmentBytesMax,
  });
  server.identified(storage.identity.current().incarnation);
  const machine = new CounterMachine(server.disk, clock);
  const node = new Node<PendingWrite>(GROUP, peer);
  const watch = { peer, observer, stateHash: () => machine.stateHash(), onError: parts.onError };
  await node.init({
    ...timingOf(settings),
    stateMachine: auditedStateMachine(machine, watch),
    storage: auditedStorage(storage, { peer, promises, observer }),
    transport: parts.transport,
    clock,
    logger: silentLogger,
    seed: parts.drawSeed(),
    initialVoters: server.isJoining ? new Set() : parts.initialVoters,
    initialState: server.isJoining ? 'existing' : 'new',
    copySnapshot: fetchSnapshot,
    newCopyId: () => `copy-${parts.drawSeed()}`,
    step: observedStep(parts),
  });
  return new CounterNode(node, machine);
}

function observedStep({ observer, step: inner }: CounterNodeParts): typeof step {
  return (state, event) => {
    const before = observer.beforeStep(state);
    const effects = inner(state, event);
    observer.stepped(state, before, effects);
    return effects;
  };
}

function timingOf(settings: Settings): Partial<NodeOptions<PendingWrite>> {
  const { electionTimeoutMs, clockDriftMaxMs, leaderLease, snapshotIntervalMs } = settings;
  const { snapshotLogBytes, appendBytesMax, inFlightEntriesMax } = settings;
  return {
    ...{ electionTimeoutMs, clockDriftMaxMs, leaderLease, snapshotIntervalMs },
    ...{ snapshotLogBytes, appendBytesMax, inFlightEntriesMax },
  };
}

function failureOf(error: unknown): CounterResponse {
  if (!(error instanceof RaftError)) throw error;
  if (error.outcome === 'unknown') return { type: 'unknown' };
  // The message names no peer when the leader is not known.
  return { type: 'refused', leader: error.leader as PeerId | undefined };
}

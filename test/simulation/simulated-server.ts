import type { Incarnation, PeerId } from '../../server/raft/core/ids.ts';
import { SimulatedDisk, type DiskOperation } from '../support/simulated-disk.ts';
import { DiskPromises } from './checkers/disk-promises.ts';
import type { CounterRequest, CounterResponse } from './counter-service.ts';
import { ProcessGate } from './process-gate.ts';
import type { SimulationRandom } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { CounterNode } from './counter-node.ts';

/** Starts a node of the group in a new process on the server's disk. */
export type StartNode = (server: SimulatedServer, gate: ProcessGate) => Promise<CounterNode>;

/** How slow a disk is right now. */
export type DiskSpeed = { syncMs: number; otherMs: number };

/** A program that runs on a server, from its start to its death. */
type Process = { readonly gate: ProcessGate; node: CounterNode | undefined };

/** One machine: a disk that stays and processes that come and go. */
export class SimulatedServer {
  readonly peer: PeerId;
  readonly number: number;
  readonly speed: DiskSpeed;
  disk = new SimulatedDisk();
  promises: DiskPromises;
  /** How many processes ran here. */
  starts = 0;
  /** Faults on this disk explain why a node stops or cannot start. */
  diskIsFaulty = false;
  /** Fails the next syncs with EIO while above 0. */
  failingSyncs = 0;
  /** Started with nothing on disk and waiting to be added. */
  isJoining = false;
  /** What each disk that this server ever had has promised, by its incarnation. */
  readonly #disks = new Map<Incarnation, DiskPromises>();
  readonly #scheduler: Scheduler;
  readonly #random: SimulationRandom;
  readonly #startNode: StartNode;
  #process: Process | undefined;

  constructor(options: {
    readonly peer: PeerId;
    readonly number: number;
    readonly scheduler: Scheduler;
    readonly random: SimulationRandom;
    readonly speed: DiskSpeed;
    readonly startNode: StartNode;
  }) {
    this.peer = options.peer;
    this.number = options.number;
    this.speed = { ...options.speed };
    this.#scheduler = options.scheduler;
    this.#random = options.random;
    this.#startNode = options.startNode;
    this.promises = new DiskPromises(options.peer);
  }

  /** The node, when its process runs and it has finished starting. */
  node(): CounterNode | undefined {
    return this.#process?.gate.isAlive() === true ? this.#process.node : undefined;
  }

  /** The process that runs here, started or starting. */
  gate(): ProcessGate | undefined {
    return this.#process?.gate.isAlive() === true ? this.#process.gate : undefined;
  }

  /** Starts a process; rejects when the node cannot start. */
  async start(): Promise<void> {
    const gate = new ProcessGate(this.#scheduler);
    const process: Process = { gate, node: undefined };
    this.#process = process;
    this.starts++;
    this.disk.delay = (operation) => this.#delay(gate, operation);
    this.disk.fault = (operation) => this.#faultOf(operation);
    process.node = await this.#startNode(this, gate);
  }

  /** Ends the process at once; what it wrote stays in the page cache. */
  kill(): void {
    this.#process?.gate.kill();
    this.#process = undefined;
  }

  /** Ends the process and loses what was not synced, or any part of it. */
  losePower(): void {
    this.kill();
    this.disk.crash(() => this.#random.fraction());
  }

  /** Replaces the disk by an empty one. */
  wipe(): void {
    this.kill();
    this.disk = new SimulatedDisk();
    this.promises = new DiskPromises(`${this.peer} (disk ${this.starts})`);
    this.isJoining = true;
    this.diskIsFaulty = false;
  }

  /** The disk that is there calls itself so. */
  identified(incarnation: Incarnation): void {
    this.#disks.set(incarnation, this.promises);
  }

  /** What a disk of this server promised, wiped or not; the present one when none is named. */
  promisesOf(incarnation: Incarnation | undefined): DiskPromises {
    const named = incarnation === undefined ? undefined : this.#disks.get(incarnation);
    return named ?? this.promises;
  }

  /** Hands a client's request to the node; false when nothing listens. */
  request(request: CounterRequest, respond: (response: CounterResponse) => void): boolean {
    const gate = this.gate();
    if (gate === undefined) return false;
    gate.enter('input', () => {
      const node = this.node();
      if (node === undefined) respond({ type: 'refused', leader: undefined });
      else node.handle(request, respond);
    });
    return true;
  }

  #delay(gate: ProcessGate, operation: DiskOperation): Promise<void> {
    const isSync = operation.type === 'sync' || operation.type === 'syncDirectory';
    const mean = isSync ? this.speed.syncMs : this.speed.otherMs;
    return new Promise((resolve) => {
      this.#scheduler.after(mean * this.#random.between(0.5, 1.5), () => {
        gate.enter('input', resolve);
      });
    });
  }

  #faultOf(operation: DiskOperation): string | undefined {
    if (operation.type !== 'sync' || this.failingSyncs === 0) return undefined;
    this.failingSyncs--;
    this.diskIsFaulty = true;
    return 'EIO';
  }
}

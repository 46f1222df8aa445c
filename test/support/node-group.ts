import type { PeerId } from '../../server/raft/core/ids.ts';
import type { Clock } from '../../server/raft/node/clock.ts';
import { silentLogger } from '../../server/raft/node/logger.ts';
import { Node } from '../../server/raft/node/node.ts';
import type { NodeOptions } from '../../server/raft/node/node-options.ts';
import { openStorage } from '../../server/raft/storage/open-storage.ts';
import { fetchSnapshot } from '../../server/raft/transport/snapshot-copier.ts';
import { peer } from './core-cluster.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryNetwork } from './memory-transport.ts';
import { RegisterMachine } from './register-machine.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/** One node of a test group with everything it stands on. */
export type Member = {
  readonly letter: string;
  readonly node: Node<string>;
  readonly machine: RegisterMachine;
  readonly disk: SimulatedDisk;
};

/** Real nodes on simulated disks, in one process, with a clock that the test moves. */
export class NodeGroup {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork();
  readonly members = new Map<string, Member>();
  readonly #voters: string;
  readonly #options: Partial<NodeOptions<string>>;

  constructor(voters: string, options: Partial<NodeOptions<string>> = {}) {
    this.#voters = voters;
    this.#options = options;
  }

  /** Starts every voter on an empty disk. */
  async startAll(): Promise<void> {
    for (const letter of this.#voters.split('')) await this.start(letter);
  }

  /** Starts one node; `voters` other than the group's make it a newcomer. */
  async start(
    letter: string,
    options: {
      readonly disk?: SimulatedDisk;
      readonly voters?: string;
      readonly clock?: Clock;
    } = {},
  ): Promise<Member> {
    const disk = options.disk ?? new SimulatedDisk();
    const machine = new RegisterMachine(disk);
    const node = new Node<string>('Test', peer(letter));
    const member = { letter, node, machine, disk };
    this.members.set(letter, member);
    const storage = await openStorage(disk, {
      dataPath: '/data',
      group: 'Test',
      peer: peer(letter),
      drawIncarnation: () => `${letter}-${String(Math.random())}`,
      segmentBytesMax: 4_096,
    });
    const voters = options.voters ?? this.#voters;
    await node.init({
      stateMachine: machine,
      storage,
      transport: this.network.transport(),
      clock: options.clock ?? this.clock,
      logger: silentLogger,
      seed: letter.charCodeAt(0),
      initialVoters: new Set(voters.split('').filter(Boolean).map(peer)),
      initialState: 'new',
      copySnapshot: fetchSnapshot,
      ...this.#options,
    });
    return member;
  }

  member(letter: string): Member {
    const member = this.members.get(letter);
    if (member === undefined) throw new Error(`no node ${letter}`);
    return member;
  }

  /** Stops a node in order and starts it again on the same disk. */
  async restart(letter: string): Promise<Member> {
    const { node, disk } = this.member(letter);
    await node.shutdown();
    return this.start(letter, { disk });
  }

  /** Waits for exactly one leader that serves. */
  async leader(except = ''): Promise<Member> {
    for (let waited = 0; waited < 30_000; waited += 50) {
      const leaders = [...this.members.values()].filter(
        ({ node, letter }) => node.isLeader() && !except.includes(letter),
      );
      const [leader] = leaders;
      if (leader !== undefined && leaders.length === 1) {
        const { configuration } = leader.node.status();
        if (leader.node.status().committedIndex >= configuration.index) return leader;
      }
      await this.clock.advance(50);
    }
    throw new Error('no leader within thirty seconds');
  }

  follower(leader: Member): Member {
    const found = [...this.members.values()].find((member) => member !== leader);
    if (found === undefined) throw new Error('no follower');
    return found;
  }

  /** Applies a text and waits for it, letting time pass. */
  apply(member: Member, text: string, context?: string): Promise<{ readonly index: number }> {
    const data = new TextEncoder().encode(text);
    return this.during(member.node.apply({ data, ...(context === undefined ? {} : { context }) }));
  }

  /** Lets time pass until `promise` settles. */
  async during<Value>(promise: Promise<Value>): Promise<Value> {
    const state = { settled: false };
    const watched = promise.finally(() => {
      state.settled = true;
    });
    watched.catch(() => undefined);
    for (let waited = 0; waited < 60_000 && !state.settled; waited += 20) {
      await this.clock.advance(20);
    }
    return watched;
  }

  isolate(letters: string): void {
    const inside = (id: PeerId): boolean => letters.includes(id.slice(0, id.indexOf(':')));
    this.network.deliver = ({ message }) => inside(message.from) === inside(message.to);
  }

  heal(): void {
    this.network.deliver = () => true;
  }

  async shutdown(): Promise<void> {
    await Promise.all([...this.members.values()].map(({ node }) => node.shutdown()));
  }
}

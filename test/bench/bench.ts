import { connect } from '../../client/atomic-client.ts';
import { ClusterProcess, type ServerProcess } from '../support/cluster-process.ts';
import type { LoadKind } from '../../client/load.ts';
import { resultOf, type Result } from './results.ts';
import { measureSlot, type ServerPids, type Slot, type SlotKind } from './slot.ts';

const CLIENT_TIMEOUT_MS = 10_000;
const MILLISECONDS = 1_000;

export type BenchOptions = {
  readonly inFlight: readonly number[];
  readonly operations: readonly LoadKind[];
  readonly servers: number;
  readonly rounds: number;
  readonly slotSeconds: number;
  readonly warmUpSeconds: number;
  readonly firstPort: number;
  readonly sync: boolean;
  readonly stop: AbortSignal;
  readonly print: (line: string) => void;
};

/**
 * Measures real server processes on this machine through the project's own client. The kinds of
 * slot take turns (A B C A B C), so that a slow minute of the machine hits all of them.
 */
export async function runBench(options: BenchOptions): Promise<readonly Result[]> {
  const { servers: size, firstPort, sync } = options;
  const cluster = new ClusterProcess({ size, firstPort, flags: [`--raft_sync=${String(sync)}`] });
  try {
    await cluster.start();
    const kinds = options.operations.flatMap((operation) =>
      options.inFlight.map((inFlight): SlotKind => ({ operation, inFlight })),
    );
    const slots = await runSlots(cluster, kinds, options);
    return kinds.map((kind) => resultOf(kind, slots)).filter(({ slots: count }) => count > 0);
  } finally {
    await cluster.stop();
  }
}

async function runSlots(
  cluster: ClusterProcess,
  kinds: readonly SlotKind[],
  { rounds, slotSeconds, warmUpSeconds, stop, print }: BenchOptions,
): Promise<readonly Slot[]> {
  await using client = connect({
    servers: cluster.conf,
    group: 'Atomic',
    timeoutMs: CLIENT_TIMEOUT_MS,
  });
  const slots: Slot[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const kind of kinds) {
      const plan = {
        ...{ ...kind, stop },
        warmUpMs: warmUpSeconds * MILLISECONDS,
        durationMs: slotSeconds * MILLISECONDS,
      };
      const slot = await measureSlot(client, plan, pidsOf(cluster, await cluster.leader()));
      if (stop.aborted) return slots;
      slots.push(slot);
      print(slotLine(`round ${String(round)} of ${String(rounds)}`, slot));
    }
  }
  return slots;
}

function pidsOf({ servers }: ClusterProcess, leader: ServerProcess): ServerPids {
  const pid = ({ child }: ServerProcess): number => child.pid ?? 0;
  return { leader: pid(leader), followers: servers.filter((one) => one !== leader).map(pid) };
}

function slotLine(round: string, slot: Slot): string {
  const { operation, inFlight, opsPerSecond, p50Us, p99Us } = slot;
  const cpu = (slot.clientCpuUs + slot.leaderCpuUs + slot.followersCpuUs).toFixed(1);
  return `${round}: ${operation} n=${String(inFlight)}: ${String(opsPerSecond)}/s, p50 ${String(p50Us)} us, p99 ${String(p99Us)} us, CPU ${cpu} us/op`;
}

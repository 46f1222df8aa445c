import type { AtomicClient } from '../../client/atomic-client.ts';
import { runLoad, type LoadKind, type LoadReport } from '../../client/load.ts';
import { cpuTimeUs } from './cpu-time.ts';

/** What one slot of the benchmark does. */
export type SlotKind = { readonly operation: LoadKind; readonly inFlight: number };

/** What one slot gave. CPU microseconds are per operation. */
export type Slot = SlotKind & {
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly failures: number;
  readonly clientCpuUs: number;
  readonly leaderCpuUs: number;
  /** All servers but the leader. */
  readonly followersCpuUs: number;
};

export type SlotPlan = SlotKind & {
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly stop: AbortSignal;
};

/** The processes whose CPU time is charged to the operations. */
export type ServerPids = { readonly leader: number; readonly followers: readonly number[] };

/** Loads the group for one slot: warm-up first, then the measured time with one counter a caller. */
export async function measureSlot(
  client: AtomicClient,
  plan: SlotPlan,
  pids: ServerPids,
): Promise<Slot> {
  const { operation, inFlight, warmUpMs, durationMs, stop } = plan;
  const load = {
    ...{ inFlight, keys: inFlight, firstId: 1n, warmUpMs: 0, paceMs: 0, record: false, stop },
    mix: { get: 0, exchange: 0, cas: 0, [operation]: 1 },
  };
  await runLoad(client, { ...load, durationMs: warmUpMs });
  const before = serverCpuUs(pids);
  const { report } = await runLoad(client, { ...load, durationMs });
  const after = serverCpuUs(pids);
  return slotOf({ operation, inFlight }, report, {
    leader: after.leader - before.leader,
    followers: after.followers - before.followers,
  });
}

function serverCpuUs({ leader, followers }: ServerPids): { leader: number; followers: number } {
  return {
    leader: cpuTimeUs(leader),
    followers: followers.reduce((sum, pid) => sum + cpuTimeUs(pid), 0),
  };
}

function slotOf(
  kind: SlotKind,
  report: LoadReport,
  cpuUs: { readonly leader: number; readonly followers: number },
): Slot {
  const { operations, operationsPerSecond, failures, clientCpuUsPerOperation, latency } = report;
  const perOperation = (us: number): number => us / Math.max(1, operations);
  return {
    ...kind,
    opsPerSecond: operationsPerSecond,
    p50Us: latency.p50Us,
    p99Us: latency.p99Us,
    p999Us: latency.p999Us,
    failures,
    clientCpuUs: clientCpuUsPerOperation,
    leaderCpuUs: perOperation(cpuUs.leader),
    followersCpuUs: perOperation(cpuUs.followers),
  };
}

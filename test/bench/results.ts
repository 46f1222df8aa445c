import type { Slot, SlotKind } from './slot.ts';

/** One row of the outcome: medians over the slots of one kind, and how far those spread. */
export type Result = Omit<Slot, 'clientCpuUs' | 'leaderCpuUs' | 'followersCpuUs'> & {
  readonly system: 'atomicraft';
  readonly slots: number;
  readonly opsPerSecondLowest: number;
  readonly opsPerSecondHighest: number;
  readonly cpuUsPerOp: {
    readonly client: number;
    readonly leader: number;
    /** The followers together. */
    readonly followers: number;
    readonly all: number;
  };
};

/** Sums up the slots of one kind. */
export function resultOf({ operation, inFlight }: SlotKind, all: readonly Slot[]): Result {
  const slots = all.filter((slot) => slot.operation === operation && slot.inFlight === inFlight);
  const middle = (of: (slot: Slot) => number): number => median(slots.map(of));
  const rates = slots.map(({ opsPerSecond }) => opsPerSecond);
  return {
    system: 'atomicraft',
    operation,
    inFlight,
    slots: slots.length,
    opsPerSecond: Math.round(middle(({ opsPerSecond }) => opsPerSecond)),
    opsPerSecondLowest: Math.min(...rates),
    opsPerSecondHighest: Math.max(...rates),
    p50Us: middle(({ p50Us }) => p50Us),
    p99Us: middle(({ p99Us }) => p99Us),
    p999Us: middle(({ p999Us }) => p999Us),
    failures: slots.reduce((sum, { failures }) => sum + failures, 0),
    cpuUsPerOp: {
      client: tenths(middle(({ clientCpuUs }) => clientCpuUs)),
      leader: tenths(middle(({ leaderCpuUs }) => leaderCpuUs)),
      followers: tenths(middle(({ followersCpuUs }) => followersCpuUs)),
      all: tenths(middle((slot) => slot.clientCpuUs + slot.leaderCpuUs + slot.followersCpuUs)),
    },
  };
}

/** The results as a Markdown table. */
export function markdownOf(results: readonly Result[]): string {
  const head = [
    ...['operation', 'in flight', 'ops/s (lowest to highest)', 'p50 us', 'p99 us', 'p99.9 us'],
    ...['CPU us/op: client', 'leader', 'followers', 'all', 'failures'],
  ];
  const rows = results.map((result) => {
    const { operation, inFlight, opsPerSecond, p50Us, p99Us, p999Us, failures } = result;
    const { client, leader, followers, all } = result.cpuUsPerOp;
    const spread = `${count(result.opsPerSecondLowest)} to ${count(result.opsPerSecondHighest)}`;
    return [
      ...[operation, inFlight, `${count(opsPerSecond)} (${spread})`, p50Us, p99Us, p999Us],
      ...[client, leader, followers, all, failures],
    ].map(String);
  });
  return table([head, head.map(() => '---'), ...rows]);
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  return rows
    .map((row) => `| ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`)
    .join('\n');
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? 0) + upper) / 2;
}

const tenths = (value: number): number => Math.round(value * 10) / 10;

const count = (value: number): string => value.toLocaleString('en-US');

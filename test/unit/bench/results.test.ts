import { expect, it } from '@jest/globals';
import { markdownOf, resultOf } from '../../bench/results.ts';
import type { Slot } from '../../bench/slot.ts';

const slot = (part: Partial<Slot>): Slot => ({
  operation: 'cas',
  inFlight: 64,
  opsPerSecond: 1_000,
  p50Us: 100,
  p99Us: 200,
  p999Us: 300,
  failures: 0,
  clientCpuUs: 1,
  leaderCpuUs: 2,
  followersCpuUs: 3,
  ...part,
});

it('takes the median of the slots of its own kind, and states lowest and highest', () => {
  const slots = [
    slot({ opsPerSecond: 9_000, p50Us: 90 }),
    slot({ opsPerSecond: 1_000, p50Us: 10 }),
    slot({ opsPerSecond: 5_000, p50Us: 70 }),
    slot({ opsPerSecond: 77_777, inFlight: 1 }),
    slot({ opsPerSecond: 88_888, operation: 'get' }),
  ];
  expect(resultOf({ operation: 'cas', inFlight: 64 }, slots)).toMatchObject({
    slots: 3,
    opsPerSecond: 5_000,
    opsPerSecondLowest: 1_000,
    opsPerSecondHighest: 9_000,
    p50Us: 70,
  });
});

it('takes the mean of the two middle slots when their number is even', () => {
  const slots = [1, 2, 4, 100].map((opsPerSecond) => slot({ opsPerSecond }));
  expect(resultOf({ operation: 'cas', inFlight: 64 }, slots).opsPerSecond).toBe(3);
});

it('adds up failures, and the CPU time of each slot before it takes the median', () => {
  const slots = [
    slot({ failures: 2, clientCpuUs: 1, leaderCpuUs: 9, followersCpuUs: 0.04 }),
    slot({ failures: 0, clientCpuUs: 5, leaderCpuUs: 1, followersCpuUs: 2.06 }),
    slot({ failures: 3, clientCpuUs: 9, leaderCpuUs: 5, followersCpuUs: 4 }),
  ];
  const { failures, cpuUsPerOp } = resultOf({ operation: 'cas', inFlight: 64 }, slots);
  expect(failures).toBe(5);
  expect(cpuUsPerOp).toEqual({ client: 5, leader: 5, followers: 2.1, all: 10 });
});

it('prints one aligned row a kind', () => {
  const lines = markdownOf([
    resultOf({ operation: 'cas', inFlight: 64 }, [slot({ opsPerSecond: 12_345 })]),
  ]).split('\n');
  expect(lines).toHaveLength(3);
  expect(new Set(lines.map((line) => line.length)).size).toBe(1);
  expect(lines[2]).toContain('| cas       | 64        | 12,345 (12,345 to 12,345)');
});

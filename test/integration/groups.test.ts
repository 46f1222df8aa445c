import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ClusterProcess } from '../support/cluster-process.ts';

const cluster = new ClusterProcess({
  size: 3,
  firstPort: 25_400,
  flags: ['--group=Red', '--group=Blue'],
});
const inGroup = async (group: string, ...args: readonly string[]): Promise<string> => {
  const flags = [`--conf=${cluster.conf}`, `--group=${group}`, '--timeout-ms=5000'];
  const { code, stdout, stderr } = await cluster.atomic(...args, ...flags);
  return code === 0 ? stdout.trim() : `exit ${String(code)}: ${stderr}`;
};

beforeAll(async () => {
  await cluster.start();
}, 60_000);

afterAll(async () => {
  await cluster.stop();
}, 30_000);

describe('two groups in three processes', () => {
  it('count apart under the same id', async () => {
    expect(await inGroup('Red', 'exchange', '7', '1')).toBe('0');
    expect(await inGroup('Blue', 'exchange', '7', '2')).toBe('0');
    expect(await inGroup('Red', 'get', '7')).toBe('1');
    expect(await inGroup('Blue', 'get', '7')).toBe('2');
  });

  it('go on when a process is gone, whoever led there', async () => {
    const leader = await inGroup('Blue', 'admin', 'get_leader');
    const server = cluster.servers.find(({ peer }) => leader.startsWith(peer));
    expect(server?.peer).toBeDefined();
    if (server !== undefined) await cluster.kill(server);
    expect(await inGroup('Blue', 'exchange', '7', '3')).toBe('2');
    expect(await inGroup('Red', 'exchange', '7', '4')).toBe('1');
  });

  it('a group that no server has is named in the error, though one server is silent', async () => {
    expect(await inGroup('Green', 'get', '7')).toContain('no node of group "Green" on this server');
  });
});

import { describe, expect, it } from '@jest/globals';
import { RouteTable } from '../../../client/route-table.ts';

const A = '127.0.0.1:8300:0:0';
const B = '127.0.0.1:8301:0:0';
const C = '127.0.0.1:8302:0:0';

function tableOf(conf = `${A},${B}`): RouteTable {
  const table = new RouteTable();
  table.updateConfiguration('G', conf);
  return table;
}

describe('RouteTable', () => {
  it.each([
    ['an empty list', '', 'empty'],
    ['a list of commas', ',,', 'empty'],
    ['an unreadable peer', `${A},nonsense`, 'nonsense'],
  ])('refuses %s as configuration', (_, conf, reason) => {
    const table = new RouteTable();
    const update = table.updateConfiguration('G', conf);
    expect(update).toMatchObject({ type: 'invalid' });
    expect(JSON.stringify(update)).toContain(reason);
    expect(table.selectLeader('G')).toEqual({ type: 'groupUnknown' });
  });

  it('knows no leader until told', () => {
    const table = tableOf();
    expect(table.selectLeader('other')).toEqual({ type: 'groupUnknown' });
    expect(table.selectLeader('G')).toEqual({ type: 'leaderUnknown' });
    expect(table.updateLeader('G', '127.0.0.1:8301')).toEqual({ type: 'updated' });
    expect(table.selectLeader('G')).toEqual({ type: 'leader', peer: B });
  });

  it('forgets the leader when told so', () => {
    const table = tableOf();
    table.updateLeader('G', B);
    expect(table.updateLeader('G', '')).toEqual({ type: 'updated' });
    expect(table.selectLeader('G')).toEqual({ type: 'leaderUnknown' });
  });

  it.each([
    ['an unregistered group', 'other', B, 'ignored'],
    ['an unreadable leader', 'G', 'x', 'invalid'],
    ['a stranger', 'G', C, 'notMember'],
  ])('does not follow %s', (_, group, leader, type) => {
    const table = tableOf();
    table.updateLeader('G', A);
    expect(table.updateLeader(group, leader).type).toBe(type);
    expect(table.selectLeader('G')).toEqual({ type: 'leader', peer: A });
  });

  it('accepts an advertised member as leader, whatever its role', () => {
    const table = tableOf();
    table.advertise('G', [B, '127.0.0.1:8302:0:1', 'unreadable']);
    expect(table.updateLeader('G', C)).toEqual({ type: 'updated' });
  });

  it('forgets a leader that is no longer a member', () => {
    const table = tableOf();
    table.updateLeader('G', B);
    table.updateConfiguration('G', `${A},${C}`);
    expect(table.selectLeader('G')).toEqual({ type: 'leaderUnknown' });
  });

  it('asks configured peers first and each peer once', () => {
    const table = tableOf();
    table.advertise('G', [C, B]);
    expect(table.refreshPlan('G')).toEqual([A, B, C]);
    expect(table.refreshPlan('other')).toEqual([]);
  });

  it('removes a group once', () => {
    const table = tableOf();
    expect(table.removeGroup('G')).toBe(true);
    expect(table.removeGroup('G')).toBe(false);
  });
});

import { describe, expect, it } from '@jest/globals';
import { Incarnation, Lineage, Term } from '../../server/raft/core/ids.ts';
import { RaftError } from '../../server/raft/error.ts';
import { openIdentity } from '../../server/raft/storage/identity-file.ts';
import type { Identity } from '../../server/raft/storage/identity-storage.ts';
import { peer } from '../support/core-cluster.ts';
import { SimulatedDisk } from '../support/simulated-disk.ts';

const PATH = '/d/identity.json';
const IDENTITY: Identity = {
  clusterId: 'c1',
  group: 'Atomic',
  peer: 'a:1:0:0',
  incarnation: Incarnation('disk-1'),
  lineage: Lineage('first'),
  bound: true,
  joined: true,
  reset: undefined,
  prepared: undefined,
  formatVersion: 1,
};

async function open(disk: SimulatedDisk): Promise<Identity> {
  const { group, peer } = IDENTITY;
  const opened = await openIdentity(disk, '/d', {
    ...{ group, peer, clusterId: '', drawIncarnation: () => 'disk-1', hasData: false },
  });
  return opened.current();
}

/** A disk that holds `IDENTITY` as this program writes it. */
async function written(): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk();
  await disk.makeDirectory('/d');
  const { group, peer, clusterId, lineage } = IDENTITY;
  const storage = await openIdentity(disk, '/d', {
    ...{ group, peer, clusterId, drawIncarnation: () => 'disk-1', hasData: false },
  });
  await storage.update({ lineage, bound: true, joined: true });
  await disk.syncDirectory('/d');
  return disk;
}

function planted(content: object): SimulatedDisk {
  const disk = new SimulatedDisk();
  disk.plant(PATH, new TextEncoder().encode(JSON.stringify(content)));
  return disk;
}

describe('the identity of a disk', () => {
  it('comes back as it was saved', async () => {
    expect(await open(await written())).toEqual(IDENTITY);
  });

  it('remembers a reset of the peers, in a format that older programs refuse', async () => {
    const disk = await written();
    const { group, peer: own } = IDENTITY;
    const storage = await openIdentity(disk, '/d', {
      ...{ group, peer: own, clusterId: '', drawIncarnation: () => 'x', hasData: false },
    });
    const goal = { voters: [peer('a'), peer('b')], term: Term(7) };
    const prepared = { ...goal, planHash: 'h', lineage: Lineage('second') };
    await storage.update({ prepared });
    expect(await open(disk)).toEqual({ ...IDENTITY, prepared, formatVersion: 2 });
    const reset = { ...goal, planned: { planHash: 'h', from: Lineage('first') } };
    await storage.update({ reset, prepared: undefined });
    expect(await open(disk)).toEqual({ ...IDENTITY, reset, formatVersion: 2 });
  });

  it.each([
    ['no list', { voters: 'a:1:0:0', term: 7 }],
    ['no peer', { voters: ['a'], term: 7 }],
    ['no term', { voters: ['a:1:0:0'] }],
    ['half a plan', { voters: ['a:1:0:0'], term: 7, planned: { planHash: 'h' } }],
  ])('with a reset that has %s is refused', async (_, reset) => {
    await expect(open(planted({ ...IDENTITY, reset }))).rejects.toThrow(
      '"reset" is missing or not',
    );
  });

  it('is never another one after a flipped bit', async () => {
    const disk = await written();
    const bits = disk.contents(PATH).length * 8;
    for (let bit = 0; bit < bits; bit++) {
      disk.flipBit(PATH, bit);
      const found = await open(disk).catch((error: unknown) => error);
      if (found instanceof RaftError) expect(found.code).toBe('EIO');
      else expect(found).toEqual(IDENTITY);
      disk.flipBit(PATH, bit);
    }
  });

  it('that is damaged is refused with file, problem and remedy', async () => {
    const disk = planted({ ...IDENTITY, crc32c: '00000000' });
    await expect(open(disk)).rejects.toThrow(
      '/d/identity.json is damaged: its checksum does not match; ' +
        'restore it from a backup, or wipe this member and add it to the group again',
    );
  });

  it('of an older layout, without a checksum, is accepted', async () => {
    expect(await open(planted(IDENTITY))).toEqual(IDENTITY);
    expect(await open(planted({ ...IDENTITY, lineage: undefined }))).toEqual({
      ...IDENTITY,
      lineage: undefined,
    });
  });

  it.each([
    ['a field that is missing', { bound: undefined }, /"bound" is missing/],
    ['a field of another type', { joined: 'yes' }, /"joined" is missing or not/],
    ['a field that was never there', { crc32d: '00000000' }, /"crc32d" is no field/],
    ['a newer format', { formatVersion: 3 }, /format version 3, which this program cannot read/],
  ])('without a checksum and with %s is refused', async (_, change, message) => {
    await expect(open(planted({ ...IDENTITY, ...change }))).rejects.toThrow(message);
  });
});

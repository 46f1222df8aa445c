import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orderFreshStart, quarantineIfOrdered } from '../../../server/fresh-start.ts';
import { Incarnation, silentLogger } from '../../../server/raft/index.ts';

const base = mkdtempSync(join(tmpdir(), 'atomicraft-fresh-'));
const OLD = 'disk-1';
let dataPath = '';
let runs = 0;

beforeEach(() => {
  dataPath = join(base, String(++runs));
  for (const name of ['log', 'raft_meta', 'snapshot', 'others']) {
    mkdirSync(join(dataPath, name), { recursive: true });
    writeFileSync(join(dataPath, name, 'file'), `${name} of ${OLD}`);
  }
  writeIdentity(OLD);
});

afterAll(() => {
  rmSync(base, { recursive: true });
});

function writeIdentity(incarnation: string): void {
  writeFileSync(join(dataPath, 'identity.json'), JSON.stringify({ incarnation }));
}

const carryOut = (): Promise<void> => quarantineIfOrdered({ name: 'g', dataPath }, silentLogger);
const names = (...path: string[]): string[] => readdirSync(join(dataPath, ...path)).sort();
const quarantined = (): string[] => names('quarantine', OLD);
const ALL = ['identity.json', 'log', 'raft_meta', 'snapshot'];

describe('a fresh start', () => {
  it('does nothing without an order', async () => {
    await carryOut();
    expect(names()).toEqual(['identity.json', 'log', 'others', 'raft_meta', 'snapshot']);
    await quarantineIfOrdered({ name: 'g', dataPath: join(base, 'absent') }, silentLogger);
    expect(existsSync(join(base, 'absent'))).toBe(false);
  });

  it('moves all that makes a member, and nothing else', async () => {
    await orderFreshStart(dataPath, Incarnation(OLD));
    await carryOut();
    expect(names()).toEqual(['lock', 'others', 'quarantine']);
    expect(quarantined()).toEqual(ALL);
    const log = readFileSync(join(dataPath, 'quarantine', OLD, 'log', 'file'), 'utf8');
    expect(log).toBe(`log of ${OLD}`);
  });

  it.each(ALL.map((_, moved) => moved + 1))(
    'goes on after a crash with %d moved',
    async (moved) => {
      await orderFreshStart(dataPath, Incarnation(OLD));
      mkdirSync(join(dataPath, 'quarantine', OLD), { recursive: true });
      for (const name of ['identity.json', 'raft_meta', 'log', 'snapshot'].slice(0, moved)) {
        renameSync(join(dataPath, name), join(dataPath, 'quarantine', OLD, name));
      }
      await carryOut();
      expect(names()).toEqual(['lock', 'others', 'quarantine']);
      expect(quarantined()).toEqual(ALL);
    },
  );

  it('leaves a disk alone that is another one already', async () => {
    await orderFreshStart(dataPath, Incarnation(OLD));
    writeIdentity('disk-2');
    await carryOut();
    expect(names()).toEqual(['identity.json', 'lock', 'log', 'others', 'raft_meta', 'snapshot']);
  });

  it('keeps the newest two quarantines', async () => {
    for (const [age, name] of ['oldest', 'older'].entries()) {
      mkdirSync(join(dataPath, 'quarantine', name), { recursive: true });
      utimesSync(join(dataPath, 'quarantine', name), 1_000 + age, 1_000 + age);
    }
    await orderFreshStart(dataPath, Incarnation(OLD));
    await carryOut();
    expect(names('quarantine')).toEqual([OLD, 'older']);
  });

  it.each(['{', '{"format":1,"oldIncarnation":"../up"}', '{"format":2,"oldIncarnation":"a"}'])(
    'refuses to start on an order that is not valid: %s',
    async (text) => {
      writeFileSync(join(dataPath, 'fresh-start.json'), text);
      await expect(carryOut()).rejects.toMatchObject({ code: 'EIO' });
      expect(names()).toContain('identity.json');
    },
  );
});

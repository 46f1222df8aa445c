import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretFile } from '../../../../server/raft/transport/secret-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'atomicraft-secret-'));
const path = join(folder, 'secret');
const OLD = 'the old secret 0123';
const NEW = 'the new secret 4567';
let now = 0;
let problems: string[] = [];

beforeEach(() => {
  now = 0;
  problems = [];
  rmSync(path, { force: true });
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

const open = (): SecretFile =>
  new SecretFile(path, { now: () => now, onProblem: (reason) => problems.push(reason) });

describe('SecretFile', () => {
  it('sends the first line and accepts both', () => {
    writeFileSync(path, `  ${NEW}\r\n${OLD}\n\n`);
    const file = open();
    expect(file.current()).toBe(NEW);
    expect([NEW, OLD, '', `${OLD} `, OLD.slice(1)].map((text) => file.accepts(text))).toEqual([
      ...[true, true],
      ...[false, false, false],
    ]);
  });

  it.each([
    ['is missing', undefined, 'there is none'],
    ['is empty', ' \n\n', 'it is empty'],
    ['holds a short secret', '15 characters..', '16 to 1024'],
    ['holds a long secret', 'x'.repeat(1_025), '16 to 1024'],
    ['holds what gRPC cannot send', 'sixteen letters \u00e4', '16 to 1024'],
    ['holds three lines', `${OLD}\n${NEW}\n${OLD}`, 'more than 2 lines'],
  ])('is refused when it %s', (_name, text, reason) => {
    if (text !== undefined) writeFileSync(path, text);
    expect(open).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(open).toThrow(reason);
    expect(open).toThrow(path);
  });

  it.each([16, 1_024])('takes a secret of %d characters', (length) => {
    writeFileSync(path, 'x'.repeat(length));
    expect(open().current()).toHaveLength(length);
  });

  it('is read again when it changed, at most once a second', () => {
    writeFileSync(path, OLD);
    const file = open();
    writeFileSync(path, `${NEW}\n${OLD}`);
    now = 999;
    expect([file.current(), file.accepts(NEW)]).toEqual([OLD, false]);
    now = 1_000;
    expect([file.current(), file.accepts(NEW), file.accepts(OLD)]).toEqual([NEW, true, true]);
  });

  it('follows a link that is turned to another file', () => {
    writeFileSync(join(folder, 'first'), OLD);
    writeFileSync(join(folder, 'second'), NEW);
    symlinkSync(join(folder, 'first'), path);
    const file = open();
    symlinkSync(join(folder, 'second'), join(folder, 'next'));
    renameSync(join(folder, 'next'), path);
    now = 1_000;
    expect(file.current()).toBe(NEW);
  });

  it('keeps the last secrets while the file cannot be used, says so once, and recovers', () => {
    writeFileSync(path, OLD);
    const file = open();
    unlinkSync(path);
    for (now of [1_000, 2_000]) expect(file.accepts(OLD)).toBe(true);
    expect(problems).toEqual([expect.stringContaining('there is none')]);
    writeFileSync(path, 'short');
    for (now of [3_000, 4_000]) expect(file.current()).toBe(OLD);
    expect(problems).toHaveLength(2);
    writeFileSync(path, NEW);
    now = 5_000;
    expect([file.current(), file.accepts(OLD)]).toEqual([NEW, false]);
  });
});

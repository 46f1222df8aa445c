// House rules that no linter knows.
import { describe, expect, it } from '@jest/globals';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

const CODE = globSync('{client,operator,scripts,server,test}/**/*.{ts,mjs,js}');
const TEXT = globSync([
  '*.{md,json,js,cjs}',
  '{client,deploy,docs,helm,operator,scripts,server,test}/**/*.{ts,mjs,js,md,html,yaml}',
  'proto/**/*.{proto,yaml}',
]);
const CORE = globSync('server/raft/core/*.ts');
const GOLDEN = globSync('test/interaction/golden/*.txt');

const THIS_FILE = 'test/unit/tidy.test.ts';
const SKIP_FACILITY = 'test/support/requires.ts';

/** The lines of `files` that match, as `file:line text`. */
function linesMatching(files: readonly string[], pattern: RegExp): string[] {
  return files
    .filter((file) => file !== THIS_FILE)
    .flatMap((file) =>
      readFileSync(file, 'utf8')
        .split('\n')
        .flatMap((line, index) =>
          pattern.test(line) ? [`${file}:${index + 1} ${line.trim()}`] : [],
        ),
    );
}

describe('names', () => {
  it('gives no file a name that takes anything in', () => {
    const dumpingGround = /^(utils?|helpers?|common|misc|types)\./;
    expect(CODE.filter((file) => dumpingGround.test(basename(file)))).toEqual([]);
  });

  it('writes file names in kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|config))?\.(ts|mjs|js)$/;
    expect(CODE.filter((file) => !kebab.test(basename(file)))).toEqual([]);
  });

  it('keeps index.ts for the two public entries', () => {
    const entries = CODE.filter((file) => basename(file) === 'index.ts');
    const allowed = ['server/raft/index.ts', 'client/index.ts'];
    expect(entries.filter((file) => !allowed.includes(file))).toEqual([]);
  });
});

describe('text', () => {
  it('leaves nothing to be done', () => {
    expect(linesMatching(TEXT, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  it('names no path of one machine', () => {
    expect(linesMatching(TEXT, /(^|[\s'"`(])(\/work\/|\/root\/|(\.\.\/)+shared\/)/)).toEqual([]);
  });

  it('skips or singles out no test, except where a machine lacks something', () => {
    const tests = CODE.filter((file) => file.startsWith('test/') && file !== SKIP_FACILITY);
    const skips = /\b(it|test|describe)\.(only|skip|todo|failing)\b|\b([fx](it|describe)|xtest)\(/;
    expect(linesMatching(tests, skips)).toEqual([]);
  });
});

describe('the core', () => {
  it('says in every file where its rules come from', () => {
    const source = /^\s*(\/\/|\/?\*).*(§|dissertation|braft|Raft paper)/m;
    expect(CORE.filter((file) => !source.test(readFileSync(file, 'utf8')))).toEqual([]);
  });
});

describe('golden transcripts', () => {
  it('hold a script and what is expected of it', () => {
    const transcript = /^(?!----$).+[^]*^----$[^]+/m;
    expect(GOLDEN.filter((file) => !transcript.test(readFileSync(file, 'utf8')))).toEqual([]);
  });

  it('have a test that reads them', () => {
    expect(GOLDEN.length === 0 || existsSync('test/interaction/interaction.test.ts')).toBe(true);
  });
});

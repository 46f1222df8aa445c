import { describe, expect, it } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const PROJECT = resolve(import.meta.dirname, '../../..');
const lines = (path: string): readonly string[] =>
  readFileSync(join(PROJECT, path), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

const dockerfile = lines('deploy/Dockerfile');
const { version } = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as {
  readonly version: string;
};

describe('the Dockerfile', () => {
  it('takes its base from the argument alone, which may carry a digest', () => {
    const bases = dockerfile.filter((line) => line.startsWith('FROM '));
    expect(bases.length).toBe(2);
    for (const base of bases) expect(base).toMatch(/^FROM \$\{NODE_IMAGE\}( AS \w+)?$/);
  });

  it('runs as nobody, and has the version of the package', () => {
    expect(dockerfile.filter((line) => line.startsWith('USER '))).toEqual(['USER 65532:65532']);
    expect(dockerfile).toContain(`ARG VERSION=${version}`);
  });

  it('keeps nothing of the build but what runs', () => {
    const kept = dockerfile.flatMap(
      (line) => /^COPY --from=build \/app\/(\S+)/.exec(line)?.[1] ?? [],
    );
    expect(kept).toEqual(['package.json', 'node_modules', 'dist', 'deploy/entrypoint.mjs']);
  });

  it('gets from this folder what it builds from, each of which exists', () => {
    const [everything, ...others] = lines('.dockerignore');
    expect(everything).toBe('*');
    const paths = others.map((line) => line.replace(/^!/, ''));
    expect(paths.filter((path) => !existsSync(join(PROJECT, path)))).toEqual([]);
    const { include } = JSON.parse(readFileSync(join(PROJECT, 'tsconfig.build.json'), 'utf8')) as {
      readonly include: readonly string[];
    };
    const needed = [...include, 'scripts', 'deploy/entrypoint.mjs', 'package-lock.json', '.npmrc'];
    expect(paths).toEqual(expect.arrayContaining(needed));
    expect(paths).not.toContain('node_modules');
  });
});

describe('the entry point', () => {
  it('leads to programs that the build makes', () => {
    const text = readFileSync(join(PROJECT, 'deploy/entrypoint.mjs'), 'utf8');
    const programs = [...text.matchAll(/'\.\.\/dist\/(\w+)\/main\.js'/g)].map(([, name]) => name);
    expect(programs.sort()).toEqual(['client', 'operator', 'server']);
    for (const name of programs) {
      expect(existsSync(join(PROJECT, `${String(name)}/main.ts`))).toBe(true);
    }
  });
});

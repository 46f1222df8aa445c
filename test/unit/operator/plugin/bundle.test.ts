import { expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { env, execPath } from 'node:process';
import { packageVersion } from '../../../../server/version.ts';

const PROJECT = resolve(import.meta.dirname, '../../../..');
const BUILD_MS = 120_000;

it(
  'kubectl-atomic is one file that runs wherever Node is',
  () => {
    const path = [join(PROJECT, 'node_modules/.bin'), env['PATH']].join(delimiter);
    const build = spawnSync(execPath, ['scripts/build-plugin.ts'], {
      ...{ cwd: PROJECT, encoding: 'utf8', env: { ...env, PATH: path, NODE_OPTIONS: '' } },
    });
    expect(build).toMatchObject({ stdout: 'dist/kubectl-atomic\n', stderr: '', status: 0 });
    const folder = mkdtempSync(join(tmpdir(), 'kubectl-atomic-'));
    try {
      const program = join(folder, 'kubectl-atomic');
      copyFileSync(join(PROJECT, 'dist/kubectl-atomic'), program);
      const args = { encoding: 'utf8', env: { PATH: '/nowhere' } } as const;
      const { stdout, stderr } = spawnSync(execPath, [program, 'version'], args);
      expect({ stdout, stderr }).toEqual({ stdout: `${packageVersion()}\n`, stderr: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  BUILD_MS,
);

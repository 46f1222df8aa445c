// Runs the tests on a real Kubernetes: starts the bed (unless KUBECONFIG names a cluster), runs Jest
// once or --repeat times, and stops the bed. Everything else goes to Jest.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { startBed, stopBed } from './bed/bed.ts';

const NODES = 3;
const PROJECT = resolve(import.meta.dirname, '../..');
const JEST = join(PROJECT, 'node_modules/jest/bin/jest.js');
const JEST_NODE_OPTIONS = '--experimental-vm-modules --disable-warning=ExperimentalWarning';

const print = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function takeRepeats(args: string[]): number {
  const at = args.indexOf('--repeat');
  if (at < 0) return 1;
  const [, count = ''] = args.splice(at, 2);
  if (/^[1-9]\d?$/.test(count)) return Number(count);
  throw new Error(`--repeat: expected a number from 1 to 99, got "${count}"`);
}

async function runJest(args: readonly string[]): Promise<number> {
  const flags = ['--config', join(PROJECT, 'jest.cluster.config.js'), ...args];
  const child = spawn(process.execPath, [JEST, ...flags], {
    stdio: 'inherit',
    cwd: PROJECT,
    env: { ...process.env, NODE_OPTIONS: JEST_NODE_OPTIONS },
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 1;
}

async function main(args: string[]): Promise<number> {
  const repeats = takeRepeats(args);
  const ownBed = process.env['KUBECONFIG'] === undefined;
  if (ownBed) {
    await stopBed();
    await startBed(NODES, print);
  }
  try {
    for (let round = 1; round <= repeats; round++) {
      if (repeats > 1) print(`round ${String(round)} of ${String(repeats)}`);
      const code = await runJest(args);
      if (code !== 0) return code;
    }
    return 0;
  } finally {
    if (ownBed && process.env['KEEP_CLUSTER'] === undefined) await stopBed();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  print(`test:cluster: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

// Checks everything but the tests, and changes nothing. Prints one line a check, and the output of
// those that fail.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { styleText } from 'node:util';

type Check = { readonly name: string; readonly command: readonly [string, ...string[]] };
type Result = { readonly passed: boolean; readonly output: string };

const CODE = ['client', 'operator', 'proto', 'scripts', 'server', 'test'];

// The slow ones first: the rest fits beside them.
const CHECKS: readonly Check[] = [
  { name: 'lint', command: ['eslint', '.'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'purity of the core', command: ['tsc', '-p', 'server/raft/core'] },
  { name: 'format', command: ['prettier', '--check', '--log-level=warn', '.'] },
  { name: 'layers', command: ['depcruise', ...CODE] },
  { name: 'unused code', command: ['knip', '--no-progress'] },
  { name: 'protocol files', command: ['buf', 'lint', 'proto'] },
  { name: 'generated code', command: ['node', 'scripts/generate.ts', '--check'] },
];

const CONCURRENCY = Math.min(2, availableParallelism());

async function verify(): Promise<boolean> {
  const waiting = [...CHECKS];
  const outcomes: boolean[] = [];
  const worker = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      outcomes.push(await report(check));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return outcomes.every(Boolean);
}

async function report({ name, command }: Check): Promise<boolean> {
  const startMs = performance.now();
  const { passed, output } = await run(command);
  const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
  const mark = passed ? styleText('green', 'ok  ') : styleText('red', 'FAIL');
  console.log(`${mark} ${name} (${seconds} s)`);
  if (!passed) console.log(`     ${command.join(' ')}\n${output.trimEnd()}\n`);
  return passed;
}

function run([program, ...args]: Check['command']): Promise<Result> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    child.once('error', (error) => {
      resolve({ passed: false, output: `cannot run ${program}: ${error.message}` });
    });
    child.once('close', (code) => {
      resolve({ passed: code === 0, output: Buffer.concat(chunks).toString() });
    });
  });
}

process.exitCode = (await verify()) ? 0 : 1;

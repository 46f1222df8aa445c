import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { modules, root } from './paths.mjs';

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs a command with `node` as the first Node in PATH and resolves with its exit code. Signals go
 * on to the child, which decides how long its shutdown takes; we stay until it is gone.
 */
export function run({ program, args, nodeOptions }, node) {
  const path = [dirname(node), join(modules, '.bin'), process.env.PATH ?? ''].join(delimiter);
  const env = { ...process.env, PATH: path };
  if (nodeOptions !== undefined)
    env.NODE_OPTIONS = `${env.NODE_OPTIONS ?? ''} ${nodeOptions}`.trim();
  const child = spawn(program === 'node' ? node : program, args, {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  forwardSignals(child);
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        error.code === 'ENOENT' ? new Error(`no program "${program}" in node_modules`) : error,
      );
    });
    child.once('exit', (code, signal) => {
      resolve(code ?? 128 + (constants.signals[signal] ?? 0));
    });
  });
}

function forwardSignals(child) {
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      // A terminal delivers Ctrl-C to the whole foreground group, so the child has it already; a
      // second one could be read as impatience.
      if (signal === 'SIGINT' && process.stdin.isTTY) return;
      child.kill(signal);
    });
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { join } from 'node:path';
import type { LocalServer } from './runtime-folder.ts';
import { restartCommand } from './runtime-folder.ts';

/** A program started here: how it ended, and a way to end it. */
export type Child = {
  readonly name: string;
  readonly pid: number;
  /** Resolves when it has ended, with words that say how. */
  readonly ended: Promise<string>;
  readonly isRunning: () => boolean;
  signal(signal: NodeJS.Signals): void;
};

const SERVER_PROGRAM = 'server/main.ts';
const CLIENT_PROGRAM = 'client/main.ts';

/** Starts a server; what it prints goes to its std.log, after the command that starts it again. */
export function startServer(server: LocalServer, options: { readonly isNewGroup: boolean }): Child {
  const log = openSync(server.log, 'a');
  writeSync(log, `# to start this server again: ${restartCommand(server)}\n`);
  const args = [SERVER_PROGRAM, `--config=${server.configFile}`, '--stop_with_parent'];
  if (options.isNewGroup) args.push('--initial_state=new');
  // A process group of its own: Ctrl-C in the terminal is for us, who stop things in order.
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', log, log],
    env: childEnvironment(),
  });
  closeSync(log);
  return childOf(`server ${String(server.number)}`, child);
}

/** Starts the counting client; each line it prints goes to `print`. */
export function startClient(args: readonly string[], print: (line: string) => void): Child {
  const child = spawn(process.execPath, [CLIENT_PROGRAM, ...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: childEnvironment(),
  });
  forwardLines(child.stdout, print);
  forwardLines(child.stderr, print);
  return childOf('client', child);
}

function childEnvironment(): NodeJS.ProcessEnv {
  const path = [join(process.execPath, '..'), process.env['PATH'] ?? ''].join(':');
  return { ...process.env, PATH: path };
}

function childOf(name: string, child: ChildProcess): Child {
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => {
      resolve(`could not be started (${error.message})`);
    });
    child.once('exit', (code, signal) => {
      resolve(signal === null ? `ended with code ${String(code)}` : `was killed by ${signal}`);
    });
  });
  return {
    name,
    pid: child.pid ?? 0,
    ended,
    isRunning: () =>
      child.pid !== undefined && child.exitCode === null && child.signalCode === null,
    signal(signal) {
      child.kill(signal);
    },
  };
}

function forwardLines(stream: Readable, print: (line: string) => void): void {
  createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY }).on('line', print);
}

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { LOGS_FOLDER } from '../bed/daemon.ts';
import { PRODUCT_IMAGE } from '../bed/images.ts';
import { reaching } from './cluster-access.ts';

const MAIN = resolve(import.meta.dirname, '../../../operator/main.ts');

/**
 * The operator from its sources, as a process that tests can kill at any moment. As in a Deployment
 * it is started again when it ends by itself, which it does when it loses its Lease.
 */
export class OperatorProcess implements AsyncDisposable {
  readonly #args: readonly string[];
  readonly #name: string;
  #child: ChildProcess | undefined;

  constructor(name: string, args: readonly string[] = []) {
    this.#name = name;
    this.#args = args;
  }

  start(): void {
    const flags = ['--image', PRODUCT_IMAGE, '--health-port', '0', '--log-format', 'human'];
    const { command, env } = reaching([process.execPath, MAIN, ...flags, ...this.#args]);
    const [program = '', ...args] = command;
    mkdirSync(LOGS_FOLDER, { recursive: true });
    const log = openSync(join(LOGS_FOLDER, `${this.#name}.log`), 'a');
    // Jest's own options are not the operator's.
    const environment = { ...process.env, ...env, NODE_OPTIONS: '', POD_NAME: this.#name };
    const child = spawn(program, args, { stdio: ['ignore', log, log], env: environment });
    closeSync(log);
    this.#child = child;
    child.once('close', () => {
      if (this.#child === child) this.start();
    });
  }

  /** Ends it without warning; resolves when it is gone. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Ends it in order; resolves when it is gone. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill(signal);
    await closed;
  }
}

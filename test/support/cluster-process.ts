import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 20;
const HANG_GUARD_MS = 60_000;

/** One server process of a test and what it is started with. */
export type ServerProcess = {
  readonly number: number;
  readonly port: number;
  readonly httpPort: number;
  readonly peer: string;
  readonly dataPath: string;
  readonly log: string;
  child: ChildProcess;
};

export type ClusterProcessOptions = {
  readonly size: number;
  /** Ports from here on are used: one for gRPC and one for HTTP a server. */
  readonly firstPort: number;
  readonly flags?: readonly string[];
};

/** Real server processes on loopback, with data on a real disk. */
export class ClusterProcess {
  readonly servers: ServerProcess[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'atomicraft-'));
  readonly conf: string;
  readonly #options: ClusterProcessOptions;

  constructor(options: ClusterProcessOptions) {
    this.#options = options;
    const ports = Array.from({ length: options.size }, (_, number) => options.firstPort + number);
    this.conf = ports.map((port) => `127.0.0.1:${String(port)}`).join(',');
  }

  /** Starts the voters of a new group and waits until all serve. */
  async start(): Promise<void> {
    for (let number = 0; number < this.#options.size; number++) {
      this.servers.push(this.#launch(number, ['--initial_state=new', `--conf=${this.conf}`]));
    }
    await Promise.all(this.servers.map((server) => this.serving(server)));
  }

  /** Starts one more server, which waits to be added. */
  addServer(): ServerProcess {
    const server = this.#launch(this.servers.length, []);
    this.servers.push(server);
    return server;
  }

  server(number: number): ServerProcess {
    const server = this.servers[number];
    if (server === undefined) throw new Error(`no server ${String(number)}`);
    return server;
  }

  /** Ends a process the hard way. */
  async kill(server: ServerProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<number | null> {
    if (server.child.exitCode !== null || server.child.signalCode !== null) {
      return server.child.exitCode;
    }
    const ended = once(server.child, 'exit');
    server.child.kill(signal);
    await ended;
    return server.child.exitCode;
  }

  /** Starts a stopped server again on its data, as an operator would: without initial_state. */
  restart(server: ServerProcess): void {
    server.child = this.#launch(server.number, [`--conf=${this.conf}`]).child;
  }

  /** Waits until a server says that it is ready. */
  async serving(server: ServerProcess): Promise<void> {
    await this.until(`server ${String(server.number)} serves`, async () => {
      if (server.child.exitCode !== null) throw new Error(readFileSync(server.log, 'utf8'));
      return (await this.http(server, '/readyz'))?.ok === true;
    });
  }

  http(server: ServerProcess, path: string): Promise<Response | undefined> {
    return fetch(`http://127.0.0.1:${String(server.httpPort)}${path}`).catch(() => undefined);
  }

  async leader(): Promise<ServerProcess> {
    let leader: ServerProcess | undefined;
    await this.until('a leader is elected', async () => {
      for (const server of this.servers) {
        const text = await (await this.http(server, '/raft_stat'))?.text();
        if (text?.includes('state: LEADER') === true) leader = server;
      }
      return leader !== undefined;
    });
    if (leader === undefined) throw new Error('no leader');
    return leader;
  }

  /** Waits for a condition; fails with its name when it never comes. */
  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + HANG_GUARD_MS;
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`never happened: ${what}`);
      await pause(POLL_MS);
    }
  }

  /** Runs the command line client and resolves with what it printed. */
  async atomic(
    ...args: readonly string[]
  ): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
    return runProgram('client/main.ts', args);
  }

  async stop(): Promise<void> {
    for (const { child } of this.servers) child.kill('SIGCONT');
    await Promise.all(this.servers.map((server) => this.kill(server)));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #launch(number: number, extra: readonly string[]): ServerProcess {
    const port = this.#options.firstPort + number;
    const httpPort = port + 100;
    const dataPath = join(this.folder, String(number));
    const log = join(this.folder, `${String(number)}.log`);
    const output = openSync(log, 'a');
    const args = [
      'server/main.ts',
      `--port=${String(port)}`,
      `--http_port=${String(httpPort)}`,
      `--data_path=${dataPath}`,
      '--election_timeout_ms=1000',
      ...extra,
      ...(this.#options.flags ?? []),
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', output, output] });
    const peer = `127.0.0.1:${String(port)}:0:0`;
    return { number, port, httpPort, peer, dataPath, log, child };
  }
}

/** Runs one of the project's programs to its end. */
export async function runProgram(
  program: string,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  await once(child, 'close');
  return { code: child.exitCode, stdout, stderr };
}

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 20;
const HANG_GUARD_MS = 60_000;
/** A frozen server takes connections and never answers. */
const HTTP_TIMEOUT_MS = 2_000;

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
  /** 1000 by default, as with `npm start`. */
  readonly electionTimeoutMs?: number;
  readonly flags?: readonly string[];
  readonly flagsOf?: (number: number) => readonly string[];
  /** Where the data of a server lives, if not in the folder of the cluster. */
  readonly dataPathOf?: (number: number) => string | undefined;
};

/** What a program printed and how it ended. */
export type ProgramEnd = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** A program that runs in the background until it ends or is told to. */
export type Program = { readonly child: ChildProcess; readonly ended: Promise<ProgramEnd> };

/** Real server processes on loopback, with data on a real disk. */
export class ClusterProcess {
  readonly servers: ServerProcess[] = [];
  readonly folder = mkdtempSync(join(tmpdir(), 'atomicraft-'));
  readonly conf: string;
  readonly #options: ClusterProcessOptions;
  readonly #programs: Program[] = [];

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
  restart(server: ServerProcess, flags: readonly string[] = []): void {
    const conf = this.conf === '' ? [] : [`--conf=${this.conf}`];
    server.child = this.#launch(server.number, conf, flags).child;
  }

  /** Waits until a server says that it is ready. */
  async serving(server: ServerProcess): Promise<void> {
    await this.until(`server ${String(server.number)} serves`, async () => {
      if (server.child.exitCode !== null) throw new Error(readFileSync(server.log, 'utf8'));
      return (await this.http(server, '/readyz'))?.ok === true;
    });
  }

  http(server: ServerProcess, path: string): Promise<Response | undefined> {
    const signal = AbortSignal.timeout(HTTP_TIMEOUT_MS);
    const url = `http://127.0.0.1:${String(server.httpPort)}${path}`;
    return fetch(url, { signal }).catch(() => undefined);
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
  async atomic(...args: readonly string[]): Promise<ProgramEnd> {
    return this.inBackground(...args).ended;
  }

  /** Starts the command line client; it is killed with the cluster if it still runs then. */
  inBackground(...args: readonly string[]): Program {
    const program = startProgram('client/main.ts', args);
    this.#programs.push(program);
    return program;
  }

  async stop(): Promise<void> {
    for (const { child } of this.#programs) child.kill('SIGKILL');
    for (const { child } of this.servers) child.kill('SIGCONT');
    await Promise.all(this.servers.map((server) => this.kill(server)));
    await Promise.all(this.#programs.map(({ ended }) => ended));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #launch(number: number, extra: readonly string[], last: readonly string[] = []): ServerProcess {
    const port = this.#options.firstPort + number;
    const httpPort = port + 100;
    const dataPath = this.#options.dataPathOf?.(number) ?? join(this.folder, String(number));
    const log = join(this.folder, `${String(number)}.log`);
    const output = openSync(log, 'a');
    const args = [
      'server/main.ts',
      `--port=${String(port)}`,
      `--http_port=${String(httpPort)}`,
      `--data_path=${dataPath}`,
      `--election_timeout_ms=${String(this.#options.electionTimeoutMs ?? 1_000)}`,
      '--stop_with_parent',
      ...extra,
      ...(this.#options.flags ?? []),
      ...(this.#options.flagsOf?.(number) ?? []),
      ...last,
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', output, output] });
    const peer = `127.0.0.1:${String(port)}:0:0`;
    return { number, port, httpPort, peer, dataPath, log, child };
  }
}

/** Runs one of the project's programs to its end. */
export async function runProgram(program: string, args: readonly string[]): Promise<ProgramEnd> {
  return startProgram(program, args).ended;
}

function startProgram(program: string, args: readonly string[]): Program {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, stdout, stderr }));
  return { child, ended };
}

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { startClient, startServer, type Child } from './child.ts';
import { isAlive, runningProcess } from './pid-file.ts';
import { lastLines, restartCommand, type LocalServer } from './runtime-folder.ts';

const POLL_MS = 50;
const SERVING_TIMEOUT_MS = 60_000;
/** A server gives itself ten seconds to stop. */
const SERVER_STOP_MS = 12_000;
const CLIENT_STOP_MS = 5000;
const LOG_LINES_SHOWN = 8;

export type ClusterOptions = {
  readonly isNewGroup: boolean;
  readonly clientArgs: readonly string[] | undefined;
  readonly print: (line: string) => void;
};

/** The servers of `npm start` and the client that counts on them. */
export class LocalCluster {
  readonly #servers: readonly LocalServer[];
  readonly #options: ClusterOptions;
  readonly #children = new Map<LocalServer, Child>();
  #client: Child | undefined;
  #stopping = false;

  constructor(servers: readonly LocalServer[], options: ClusterOptions) {
    this.#servers = servers;
    this.#options = options;
  }

  /** @throws Error when a server does not come up: it says which and why. */
  async startServers(): Promise<void> {
    await this.#refuseUsedPorts();
    for (const server of this.#servers) {
      const child = startServer(server, this.#options);
      this.#children.set(server, child);
      void child.ended.then((how) => {
        this.#reportServerEnd(server, how);
      });
    }
    await this.#servingOrEnded();
  }

  /** Runs the counting client; resolves with how it ended. */
  async runClient(): Promise<string> {
    const { clientArgs, print } = this.#options;
    if (clientArgs === undefined) return new Promise(() => undefined);
    this.#client = startClient(clientArgs, print);
    return this.#client.ended;
  }

  /** Stops the client, then the servers, also those that were started again by hand. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#client?.isRunning() === true) {
      this.#client.signal('SIGINT');
      await endedWithin(this.#client, CLIENT_STOP_MS);
    }
    const adopted = this.#servers.flatMap(
      (server) => runningProcess(server.pidFile, server.configFile) ?? [],
    );
    const pids = new Set([...adopted, ...this.#runningChildren().map((child) => child.pid)]);
    await stopProcesses([...pids], { timeoutMs: SERVER_STOP_MS, print: this.#options.print });
  }

  /** Ends everything at once. */
  kill(): void {
    for (const child of this.#runningChildren()) child.signal('SIGKILL');
    if (this.#client?.isRunning() === true) this.#client.signal('SIGKILL');
  }

  #runningChildren(): readonly Child[] {
    return [...this.#children.values()].filter((child) => child.isRunning());
  }

  async #refuseUsedPorts(): Promise<void> {
    for (const server of this.#servers) {
      for (const port of [server.port, server.httpPort]) {
        if (!(await isListening(port))) continue;
        throw new Error(
          `port ${String(port)} of 127.0.0.1 is in use: stop what uses it (npm run stop ends ` +
            `servers of an earlier npm start), or choose another first port with --port`,
        );
      }
    }
  }

  async #servingOrEnded(): Promise<void> {
    const deadline = performance.now() + SERVING_TIMEOUT_MS;
    for (const server of this.#servers) {
      while (!(await isReady(server))) {
        if (this.#children.get(server)?.isRunning() !== true) {
          const [reason = 'it printed nothing'] = lastLines(server, 1);
          throw new Error(`server ${String(server.number)} did not come up: ${reason}`);
        }
        if (performance.now() > deadline) {
          throw new Error(
            `server ${String(server.number)} does not serve after ${String(SERVING_TIMEOUT_MS / 1000)} s; see ${server.log}`,
          );
        }
        await sleep(POLL_MS);
      }
    }
  }

  #reportServerEnd(server: LocalServer, how: string): void {
    if (this.#stopping) return;
    const { print } = this.#options;
    print(`server ${String(server.number)} (${server.peer}) ${how}; the end of its log:`);
    for (const line of lastLines(server, LOG_LINES_SHOWN)) print(`    ${line}`);
    print(`  start it again in another terminal: ${restartCommand(server)}`);
  }
}

/** Sends SIGTERM, waits, and kills what is still there. */
export async function stopProcesses(
  pids: readonly number[],
  options: { readonly timeoutMs: number; readonly print: (line: string) => void },
): Promise<void> {
  for (const pid of pids) signalIfAlive(pid, 'SIGTERM');
  const deadline = performance.now() + options.timeoutMs;
  while (pids.some(isAlive) && performance.now() < deadline) await sleep(POLL_MS);
  for (const pid of pids.filter(isAlive)) {
    options.print(`process ${String(pid)} did not stop in time and is killed`);
    signalIfAlive(pid, 'SIGKILL');
  }
  while (pids.some(isAlive)) await sleep(POLL_MS);
}

async function endedWithin(child: Child, timeoutMs: number): Promise<void> {
  const abort = new AbortController();
  const timeout = sleep(timeoutMs, 'late', { signal: abort.signal }).catch(() => 'cancelled');
  const first = await Promise.race([child.ended, timeout]);
  abort.abort();
  if (first === 'late') child.signal('SIGKILL');
  await child.ended;
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  if (isAlive(pid)) process.kill(pid, signal);
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const answered = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => {
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
  socket.destroy();
  return answered;
}

/** Answers whether a server says that it is ready; one that does not answer is not. */
async function isReady(server: LocalServer): Promise<boolean> {
  const url = `http://127.0.0.1:${String(server.httpPort)}/readyz`;
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );
}

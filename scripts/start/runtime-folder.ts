import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { stringify } from 'yaml';
import type { StartFlags } from './start-flags.ts';

const HTTP_PORT_OFFSET = 100;
/** braft's default of 5000 ms would make a killed leader's absence last. */
const ELECTION_TIMEOUT_MS = 1000;

/** One server of `npm start`: where it lives and how it is reached. */
export type LocalServer = {
  readonly number: number;
  readonly folder: string;
  readonly configFile: string;
  readonly pidFile: string;
  readonly log: string;
  readonly dataPath: string;
  readonly port: number;
  readonly httpPort: number;
  readonly peer: string;
};

/** The pid file of `npm start` itself. */
export function startPidFile(runtimeDir: string): string {
  return join(runtimeDir, 'start.pid');
}

/** The servers that `npm start` runs with these flags. */
export function plannedServers(flags: StartFlags): readonly LocalServer[] {
  return Array.from({ length: flags.serverNum }, (_, number) => {
    const folder = resolve(flags.runtimeDir, String(number));
    const port = flags.port + number;
    return {
      number,
      folder,
      configFile: join(folder, 'server.yaml'),
      pidFile: join(folder, 'server.pid'),
      log: join(folder, 'std.log'),
      dataPath: join(folder, 'data'),
      port,
      httpPort: port + HTTP_PORT_OFFSET,
      peer: `127.0.0.1:${String(port)}:0`,
    };
  });
}

/**
 * Makes the folders and writes each server's config file.
 *
 * A group may only be founded by servers that are all new: one that lost its data and founded the
 * group again would forget its votes.
 */
export function prepareFolders(
  servers: readonly LocalServer[],
  flags: StartFlags,
): { readonly isNewGroup: boolean; readonly empty: readonly LocalServer[] } {
  for (const server of servers) {
    if (flags.clean) rmSync(server.folder, { recursive: true, force: true });
    mkdirSync(server.folder, { recursive: true });
  }
  const empty = servers.filter((server) => isEmpty(server.dataPath));
  const isNewGroup = empty.length === servers.length;
  const conf = servers.map((server) => server.peer).join(',');
  for (const server of servers) {
    writeFileSync(server.configFile, configOf(server, flags, conf));
  }
  return { isNewGroup, empty };
}

/** The last lines of a server's log. */
export function lastLines(server: LocalServer, count: number): readonly string[] {
  if (!existsSync(server.log)) return [];
  return readFileSync(server.log, 'utf8').trimEnd().split('\n').slice(-count);
}

/** The command that starts this server alone again, from the project's folder. */
export function restartCommand(server: LocalServer): string {
  const config = relative(process.cwd(), server.configFile);
  const log = relative(process.cwd(), server.log);
  return `npm run -s atomic-server -- --config=${config} >>${log} 2>&1 &`;
}

function isEmpty(folder: string): boolean {
  return !existsSync(folder) || readdirSync(folder).length === 0;
}

/** Says nothing of initial_state: a server that is started again by hand must not found a group. */
function configOf(server: LocalServer, flags: StartFlags, conf: string): string {
  return stringify({
    port: server.port,
    peer: server.peer,
    conf,
    group: 'Atomic',
    data_path: server.dataPath,
    pid_file: server.pidFile,
    http_port: server.httpPort,
    election_timeout_ms: ELECTION_TIMEOUT_MS,
    raft_max_segment_size: flags.maxSegmentSize,
    raft_sync: flags.sync,
    log_format: 'human',
  });
}

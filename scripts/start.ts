// Runs a group of servers and a client that counts on this machine, until Ctrl-C.
import { mkdirSync, rmSync } from 'node:fs';
import { relative } from 'node:path';
import { UsageError } from '../server/config/command-line.ts';
import { packageVersion } from '../server/version.ts';
import { LocalCluster } from './start/local-cluster.ts';
import { takePidFile } from './start/pid-file.ts';
import {
  plannedServers,
  prepareFolders,
  startPidFile,
  type LocalServer,
} from './start/runtime-folder.ts';
import { parseStartFlags, type StartFlags } from './start/start-flags.ts';

const STOP_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const EXIT_USAGE = 64;
const PARENT_CHECK_MS = 1000;

/** Prints a line; a terminal that is gone must not keep us from stopping the servers. */
function print(line: string): void {
  if (process.stdout.writable) process.stdout.write(`${line}\n`);
}

async function main(argv: readonly string[]): Promise<number> {
  const commandLine = parseStartFlags(argv, packageVersion());
  if (commandLine.type === 'print') {
    print(commandLine.text.trimEnd());
    return 0;
  }
  const { flags } = commandLine;
  mkdirSync(flags.runtimeDir, { recursive: true });
  const pidFile = startPidFile(flags.runtimeDir);
  const holder = takePidFile(pidFile, 'scripts/start.ts');
  if (holder !== undefined) {
    throw new Error(
      `already running here (process ${String(holder)}): stop it with Ctrl-C in its ` +
        'terminal or with npm run stop, or give this one another --runtime_dir and --port',
    );
  }
  try {
    return await runCluster(flags);
  } finally {
    rmSync(pidFile, { force: true });
  }
}

async function runCluster(flags: StartFlags): Promise<number> {
  const servers = plannedServers(flags);
  const prepared = prepareFolders(servers, flags);
  const cluster = new LocalCluster(servers, {
    isNewGroup: prepared.isNewGroup,
    clientArgs: flags.client ? clientArgs(flags, servers) : undefined,
    print,
  });
  const stopRequest = stopRequested(cluster);
  try {
    const started = cluster.startServers().then(() => 'serving' as const);
    // The stop request may come first; then nobody waits for this any more.
    started.catch(() => undefined);
    if ((await Promise.race([started, stopRequest])) !== 'serving') return 0;
    announce(servers, prepared, flags);
    const clientEnd = cluster.runClient().then((how) => `the client ${how}`);
    const end = await Promise.race([clientEnd, stopRequest]);
    if (end === 'stop') return 0;
    print(`${end}; everything is stopped`);
    return 1;
  } finally {
    print('Stopping ...');
    await cluster.stop();
    print('Stopped.');
  }
}

/** Resolves at the first signal to stop; a second one kills. */
function stopRequested(cluster: LocalCluster): Promise<'stop'> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (signal: NodeJS.Signals): void => {
      // A closed terminal reaches us twice: from the system and from the process above us.
      if (stopping && signal === 'SIGINT') cluster.kill();
      stopping = true;
      resolve('stop');
    };
    for (const signal of STOP_SIGNALS) process.on(signal, stop);
    process.stdout.on('error', () => {
      stop('SIGHUP');
    });
    const parent = process.ppid;
    const check = setInterval(() => {
      if (process.ppid !== parent) stop('SIGHUP');
    }, PARENT_CHECK_MS);
    check.unref();
  });
}

function announce(
  servers: readonly LocalServer[],
  prepared: { readonly isNewGroup: boolean; readonly empty: readonly LocalServer[] },
  flags: StartFlags,
): void {
  print(`${String(servers.length)} servers of group Atomic are serving:`);
  for (const server of servers) {
    const log = relative(process.cwd(), server.log);
    print(`  ${server.peer}  status page http://127.0.0.1:${String(server.httpPort)}/  log ${log}`);
  }
  if (!prepared.isNewGroup && prepared.empty.length > 0) {
    const peers = prepared.empty.map((server) => server.peer).join(', ');
    print(`  without data, waiting to be added to the group: ${peers}`);
  }
  print(flags.client ? 'Counting; Ctrl-C stops everything.' : 'Ctrl-C stops everything.');
}

function clientArgs(flags: StartFlags, servers: readonly LocalServer[]): readonly string[] {
  return [
    'count',
    `--conf=${servers.map((server) => server.peer).join(',')}`,
    '--group=Atomic',
    `--thread_num=${String(flags.threadNum)}`,
    ...(flags.logEachRequest ? ['--log_each_request'] : []),
    ...(flags.exactlyOnce ? ['--exactly_once'] : []),
  ];
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(`npm start: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : 1;
}
process.exit();

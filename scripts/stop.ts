// Stops what `npm start` runs (seed: stop.sh). With --force by SIGKILL, as the seed does.
import { readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import {
  readCommandLine,
  snakeCase,
  UsageError,
  validateFlags,
} from '../server/config/command-line.ts';
import { boolean, text } from '../server/config/flag-kinds.ts';
import { packageVersion } from '../server/version.ts';
import { stopProcesses } from './start/local-cluster.ts';
import { runningProcess } from './start/pid-file.ts';
import { startPidFile } from './start/runtime-folder.ts';

const EXIT_USAGE = 64;
/** `npm start` itself waits for the client and the servers. */
const STOP_TIMEOUT_MS = 25_000;
const section = 'Flags';

const schema = z.object({
  force: boolean(false, { section, help: 'Kill at once (SIGKILL) instead of asking to stop.' }),
  runtimeDir: text(
    { fallback: 'runtime', placeholder: 'folder' },
    { section, help: 'Where npm start keeps its data and logs.' },
  ),
});

async function main(argv: readonly string[]): Promise<void> {
  const commandLine = readCommandLine(
    {
      name: 'npm run stop --',
      description: 'Stops the servers and the client of npm start, and servers restarted by hand.',
      version: packageVersion(),
      schema,
      epilogue: 'Exit code 0 also when nothing runs.',
    },
    argv,
  );
  if (commandLine.type === 'print') {
    console.log(commandLine.text.trimEnd());
    return;
  }
  const flags = validateFlags(schema, commandLine.given, (name) => `--${snakeCase(name)}`);
  const timeoutMs = flags.force ? 0 : STOP_TIMEOUT_MS;
  const start = runningProcess(startPidFile(flags.runtimeDir), 'scripts/start.ts');
  const options = { timeoutMs, print: flags.force ? () => undefined : console.log };
  if (start !== undefined) await stopProcesses([start], options);
  const servers = serverProcesses(flags.runtimeDir);
  await stopProcesses(servers, options);
  rmSync(startPidFile(flags.runtimeDir), { force: true });
  const stopped = servers.length + (start === undefined ? 0 : 1);
  console.log(stopped === 0 ? 'Nothing is running.' : 'Stopped.');
}

function serverProcesses(runtimeDir: string): readonly number[] {
  return foldersIn(runtimeDir).flatMap((folder) => {
    const pidFile = resolve(runtimeDir, folder, 'server.pid');
    return runningProcess(pidFile, resolve(runtimeDir, folder)) ?? [];
  });
}

function foldersIn(runtimeDir: string): readonly string[] {
  try {
    return readdirSync(join(runtimeDir)).filter((name) => /^\d+$/.test(name));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(`npm run stop: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : 1;
}

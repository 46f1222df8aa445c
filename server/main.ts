#!/usr/bin/env node
import { rmSync, writeFileSync } from 'node:fs';
import { AtomicServer } from './atomic-server.ts';
import { UsageError } from './config/command-line.ts';
import { parseServerFlags, type ServerOptions } from './flags.ts';
import { chosenFormat, createServerLogger } from './logging.ts';
import { RaftError, type Logger, type RaftErrorCode } from './raft/index.ts';
import { checkNodeVersion } from './node-version.ts';
import { packageVersion } from './version.ts';

/** A stop that takes longer than this is cut off. */
const STOP_GUARD_MS = 9_500;
/** A server whose disk or state failed must be gone soon, so that it can be replaced. */
const FAILURE_GUARD_MS = 700;
const PARENT_POLL_MS = 500;

/** Exit codes, as --help lists them. */
const EXIT = { failed: 1, usage: 64, port: 69, data: 74, foreignData: 78 } as const;

function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (!(error instanceof RaftError)) return EXIT.failed;
  const codes: Partial<Record<RaftErrorCode, number>> = {
    EIO: EXIT.data,
    ENOSPC: EXIT.data,
    EACCES: EXIT.data,
    EINVAL: EXIT.foreignData,
    EBUSY: error.message.includes('cannot listen') ? EXIT.port : EXIT.foreignData,
  };
  return codes[error.code] ?? EXIT.failed;
}

async function run(options: ServerOptions): Promise<void> {
  const logger = createServerLogger({
    level: options.logLevel,
    format: chosenFormat(options.logFormat, process.stdout.isTTY),
    now: () => Date.now(),
  });
  const server = await AtomicServer.start(options, { logger, version: packageVersion() });
  if (options.pidFile !== '') writeFileSync(options.pidFile, `${String(process.pid)}\n`);
  const stop = stopper(server, options, logger);
  process.once('SIGTERM', () => {
    stop('SIGTERM', 0);
  });
  process.once('SIGINT', () => {
    stop('SIGINT', 0);
  });
  void server.failed.then((reason) => {
    logger.error('the server stops', { reason });
    setTimeout(() => process.exit(EXIT.failed), FAILURE_GUARD_MS).unref();
    stop(reason, EXIT.failed);
  });
  void server.stopRequested.then((reason) => {
    stop(reason, 0);
  });
  // Nothing is known about the state after one of these: no graceful stop, no more answers.
  process.on('uncaughtException', (error) => {
    logger.error('a fault in the program stops the server', {
      error: error.stack ?? String(error),
    });
    process.exit(EXIT.failed);
  });
  if (options.stopWithParent) watchParent(stop);
}

/** Stops once: hand leadership over, drain, exit; cut off when that takes too long. */
function stopper(
  server: AtomicServer,
  options: ServerOptions,
  logger: Logger,
): (reason: string, exitCode: number) => void {
  let stopping = false;
  return (reason, exitCode) => {
    if (stopping) return;
    stopping = true;
    logger.info('stopping', { reason });
    setTimeout(() => process.exit(EXIT.failed), STOP_GUARD_MS).unref();
    void server
      .stop(options.shutdownTimeoutMs)
      .catch((error: unknown) => {
        logger.error('stopping failed', { error: String(error) });
      })
      .finally(() => {
        if (options.pidFile !== '') rmSync(options.pidFile, { force: true });
        process.exit(exitCode);
      });
  };
}

function watchParent(stop: (reason: string, exitCode: number) => void): void {
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) stop('the process that started this server is gone', 0);
  }, PARENT_POLL_MS).unref();
}

async function main(): Promise<void> {
  checkNodeVersion();
  const commandLine = parseServerFlags(process.argv.slice(2), packageVersion());
  if (commandLine.type === 'print') {
    process.stdout.write(`${commandLine.text.trimEnd()}\n`);
    return;
  }
  await run(commandLine.options);
}

main().catch((error: unknown) => {
  const known = error instanceof UsageError || error instanceof RaftError;
  const text = known ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`atomic-server: ${text ?? 'failed'}\n`);
  process.exit(exitCodeOf(error));
});

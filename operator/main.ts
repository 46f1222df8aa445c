#!/usr/bin/env node
import { runOperator } from './atomic-operator.ts';
import { parseOperatorFlags } from './flags.ts';
import { createOperatorLogger } from './logging.ts';
import { packageVersion } from '../server/version.ts';

const options = parseOperatorFlags(process.argv.slice(2), packageVersion());
const logger = createOperatorLogger({ level: options.logLevel, format: options.logFormat });
const stopping = new AbortController();

for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.once(name, () => {
    logger.info('stopping', { reason: name });
    stopping.abort();
  });
}

// Nothing is known about the state after one of these.
process.on('uncaughtException', (error) => {
  logger.error('a fault in the program stops the operator', {
    error: error.stack ?? error.message,
  });
  process.exit(1);
});

try {
  await runOperator(options, { logger, signal: stopping.signal });
  process.exit(0);
} catch (error) {
  logger.error('the operator ends', {
    error: error instanceof Error ? error.message : String(error),
  });
  process.exit(1);
}

import { createLogger, format, transports, type LoggerOptions } from 'winston';
import type { LogFields, Logger } from './controller/logger.ts';

/** The operator's log on the standard output: JSON lines, or lines for people. */
export function createOperatorLogger(options: {
  readonly level: string;
  readonly format: 'human' | 'json';
}): Logger {
  const line =
    options.format === 'json'
      ? format.combine(format.timestamp(), format.json())
      : format.combine(format.timestamp(), format.printf(humanLine));
  const winston = createLogger({
    level: options.level,
    format: line,
    transports: consoleTransport(),
  });
  const at =
    (level: string) =>
    (message: string, fields?: LogFields): void => {
      winston.log(level, message, fields);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function consoleTransport(): NonNullable<LoggerOptions['transports']> {
  // winston's types give instances of transports a constructor, which confuses this rule.
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment
  return new transports.Console();
}

function humanLine(info: Readonly<Record<string, unknown>>): string {
  const { timestamp, level, message, ...fields } = info;
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${String(value)}`);
  return [String(timestamp), String(level), String(message), ...rest].join(' ');
}

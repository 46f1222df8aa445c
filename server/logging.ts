import { Writable } from 'node:stream';
import {
  createLogger,
  format,
  transports,
  type Logger as WinstonLogger,
  type LoggerOptions,
} from 'winston';
import type { LogFields, Logger } from './raft/index.ts';

/** The levels, most severe first. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** Where finished lines go; without the line end. */
export type LogSink = (line: string) => void;

export type LoggingOptions = {
  readonly level: LogLevel;
  readonly format: 'human' | 'json';
  /** Milliseconds since 1970, for the time stamps and the rate limit. */
  readonly now: () => number;
  /** Absent: the standard output. */
  readonly sink?: LogSink;
};

/** Lines with the same level and message within one window; more are counted, not written. */
const SAME_LINES_MAX = 20;
const WINDOW_MS = 10_000;
/** Different messages watched at once; beyond that all are forgotten and the counting starts anew. */
const MESSAGES_WATCHED_MAX = 1000;

/** The server's log: one line an event, for people or as JSON, by winston. */
export function createServerLogger(options: LoggingOptions): Logger {
  const winston = createLogger({
    level: options.level,
    format: options.format === 'json' ? jsonLine(options.now) : humanLine(options.now),
    transports: transportTo(options.sink),
  });
  return limited(winston, options.now);
}

/** The format that `auto` stands for. */
export function chosenFormat(
  given: 'auto' | 'human' | 'json',
  isTerminal: boolean,
): 'human' | 'json' {
  if (given !== 'auto') return given;
  return isTerminal ? 'human' : 'json';
}

function transportTo(sink: LogSink | undefined): NonNullable<LoggerOptions['transports']> {
  // winston's types give instances of transports a constructor, which confuses this rule.
  /* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment */
  if (sink === undefined) return new transports.Console();
  return new transports.Stream({ stream: streamTo(sink) });
  /* eslint-enable @typescript-eslint/no-unsafe-class-instance-assignment */
}

function streamTo(sink: LogSink): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      sink(line.trimEnd());
      done();
    },
  });
}

/** Lets the first lines of a kind through and says later how many like them were left out. */
function limited(winston: WinstonLogger, now: () => number): Logger {
  const seen = new Map<string, { since: number; count: number }>();
  const log = (level: LogLevel, message: string, fields: LogFields = {}): void => {
    if (!winston.isLevelEnabled(level)) return;
    const key = `${level} ${message}`;
    const at = now();
    const line = seen.get(key);
    if (line !== undefined && at - line.since < WINDOW_MS) {
      line.count++;
      if (line.count <= SAME_LINES_MAX) winston.log(level, message, { fields });
      return;
    }
    const omitted = Math.max(0, (line?.count ?? 0) - SAME_LINES_MAX);
    if (seen.size >= MESSAGES_WATCHED_MAX) seen.clear();
    seen.set(key, { since: at, count: 1 });
    winston.log(level, message, { fields: omitted === 0 ? fields : { ...fields, omitted } });
  };
  return {
    debug: (message, fields) => {
      log('debug', message, fields);
    },
    info: (message, fields) => {
      log('info', message, fields);
    },
    warn: (message, fields) => {
      log('warn', message, fields);
    },
    error: (message, fields) => {
      log('error', message, fields);
    },
  };
}

function jsonLine(now: () => number) {
  return format.printf(({ level, message, ...rest }) => {
    const line: Record<string, unknown> = { time: new Date(now()).toISOString(), level, message };
    for (const [name, value] of Object.entries(fieldsOf(rest))) {
      line[Object.hasOwn(line, name) ? `field_${name}` : name] = value;
    }
    return JSON.stringify(line);
  });
}

function humanLine(now: () => number) {
  return format.printf(({ level, message, ...rest }) => {
    const time = new Date(now()).toISOString().replace('T', ' ').replace('Z', '');
    const fields = Object.entries(fieldsOf(rest))
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => ` ${name}=${quoted(String(value))}`)
      .join('');
    return `${time} ${level.toUpperCase().padEnd(5)} ${escaped(String(message))}${fields}`;
  });
}

function fieldsOf(rest: { readonly [key: string]: unknown }): LogFields {
  return (rest['fields'] ?? {}) as LogFields;
}

function quoted(value: string): string {
  return /^[\w.:@/+,-]+$/.test(value) ? value : `"${escaped(value).replaceAll('"', '\\"')}"`;
}

/** Line ends and control characters could forge lines or drive a terminal. */
function escaped(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => {
    if (character === '\n') return '\\n';
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
}

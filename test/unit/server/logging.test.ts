import { describe, expect, it } from '@jest/globals';
import { chosenFormat, createServerLogger, type LoggingOptions } from '../../../server/logging.ts';

function recordingLogger(options: Partial<LoggingOptions> = {}) {
  const lines: string[] = [];
  const time = { now: 0 };
  const logger = createServerLogger({
    level: 'info',
    format: 'json',
    now: () => time.now,
    sink: (line) => lines.push(line),
    ...options,
  });
  return { logger, lines, time };
}

describe('createServerLogger', () => {
  it('writes one JSON object a line', () => {
    const { logger, lines } = recordingLogger();
    logger.warn('disk is slow', { ms: 12, path: 'a\nb' });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        ...{ time: '1970-01-01T00:00:00.000Z', level: 'warn', message: 'disk is slow' },
        ...{ ms: 12, path: 'a\nb' },
      },
    ]);
  });

  it('keeps a field from posing as level, time or message', () => {
    const { logger, lines } = recordingLogger();
    logger.info('true words', { message: 'false words', level: 'error' });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      ...{ message: 'true words', level: 'info' },
      ...{ field_message: 'false words', field_level: 'error' },
    });
  });

  it('escapes line ends and control characters for people', () => {
    const { logger, lines } = recordingLogger({ format: 'human' });
    logger.info('one\ntwo\u001b[31m', { key: 'a "b"\r\n', absent: undefined });
    expect(lines).toEqual([
      '1970-01-01 00:00:00.000 INFO  one\\ntwo\\u001b[31m key="a \\"b\\"\\u000d\\n"',
    ]);
  });

  it('leaves out what is below the level', () => {
    const { logger, lines } = recordingLogger({ level: 'warn' });
    logger.info('no');
    logger.debug('no');
    logger.error('yes');
    expect(lines).toHaveLength(1);
  });

  it('holds back repeated lines and says how many', () => {
    const { logger, lines, time } = recordingLogger();
    for (let i = 0; i < 120; i++) logger.warn('refused', { i });
    logger.warn('something else');
    expect(lines).toHaveLength(21);
    time.now = 10_000;
    logger.warn('refused');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ message: 'refused', omitted: 100 });
  });
});

describe('chosenFormat', () => {
  it.each([
    ['auto', true, 'human'],
    ['auto', false, 'json'],
    ['human', false, 'human'],
    ['json', true, 'json'],
  ] as const)('turns %s with terminal %s into %s', (given, isTerminal, chosen) => {
    expect(chosenFormat(given, isTerminal)).toBe(chosen);
  });
});

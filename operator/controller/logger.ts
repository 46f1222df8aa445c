/** Where controllers write what people read; main passes its own. */
export type Logger = {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
};

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Discards everything. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A logger that adds `fields` to every line. */
export function loggerWith(logger: Logger, fields: LogFields): Logger {
  return {
    debug: (message, more) => {
      logger.debug(message, { ...fields, ...more });
    },
    info: (message, more) => {
      logger.info(message, { ...fields, ...more });
    },
    warn: (message, more) => {
      logger.warn(message, { ...fields, ...more });
    },
    error: (message, more) => {
      logger.error(message, { ...fields, ...more });
    },
  };
}

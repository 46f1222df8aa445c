import process from 'node:process';

/** The output of this process. */
export type ProcessOutput = {
  /** Results. */
  readonly print: (text: string) => void;
  /** News and complaints. */
  readonly warn: (text: string) => void;
  /** Fires when nobody reads the output any more. */
  readonly unread: AbortSignal;
};

/** To be called once: it listens to the streams for as long as the process lives. */
export function processOutput(): ProcessOutput {
  const unread = new AbortController();
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // As with `| head`, or an npm start that was killed.
      if (error.code !== 'EPIPE') throw error;
      unread.abort();
    });
  }
  return {
    print: (text) => {
      process.stdout.write(`${text}\n`);
    },
    warn: (text) => {
      process.stderr.write(`${text}\n`);
    },
    unread: unread.signal,
  };
}

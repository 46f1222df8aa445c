import process from 'node:process';
import { processOutput } from '../../client/process-output.ts';

/** Where the commands write, and how they learn that they should stop. */
export type Terminal = {
  readonly print: (text: string) => void;
  /** Complaints. */
  readonly warn: (text: string) => void;
  /** Fires on Ctrl-C, SIGTERM, or when nobody reads the output any more. */
  readonly stopSignal: () => AbortSignal;
  /** Takes over the whole screen; undefined when the output is no terminal. */
  readonly openScreen: (() => Screen) | undefined;
  readonly setExitCode: (code: number) => void;
};

/** A screen that is drawn anew as a whole; what was there before comes back when it is closed. */
export type Screen = { readonly draw: (text: string) => void; readonly close: () => void };

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';

export function processTerminal(): Terminal {
  const { print, warn, unread } = processOutput();
  return {
    ...{ print, warn },
    stopSignal: () => {
      const stopping = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM'] as const) {
        process.once(name, () => {
          stopping.abort();
        });
      }
      return AbortSignal.any([stopping.signal, unread]);
    },
    openScreen: process.stdout.isTTY ? openScreen : undefined,
    setExitCode: (code) => {
      process.exitCode = code;
    },
  };
}

function openScreen(): Screen {
  const { stdout } = process;
  stdout.write(ENTER);
  return {
    draw: (text) => {
      const lines = text.split('\n').slice(0, stdout.rows);
      const drawn = lines.map((line) => `${line.slice(0, stdout.columns)}${CLEAR_LINE}`);
      stdout.write(`${HOME}${drawn.join('\r\n')}${CLEAR_BELOW}`);
    },
    close: () => {
      stdout.write(LEAVE);
    },
  };
}

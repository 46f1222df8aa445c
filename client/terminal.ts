/** Where a command writes, and how it learns that it should stop. */
export type Terminal = {
  /** Results: one line, or several. */
  readonly print: (text: string) => void;
  /** News and complaints. */
  readonly warn: (text: string) => void;
  /** Fires on Ctrl-C, SIGTERM or when nobody reads the output. Asking for it makes the command responsible for stopping. */
  readonly stopSignal: () => AbortSignal;
  readonly setExitCode: (code: number) => void;
};

/** JSON in which 64-bit integers are texts: a number could not hold them. */
export function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) =>
    typeof member === 'bigint' ? member.toString() : member,
  );
}

/** A pause that a stop ends early. */
export function pauseFor(ms: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    stop.addEventListener('abort', end);
  });
}

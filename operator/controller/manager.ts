import type { LeaderElection } from './leader-election.ts';
import type { Logger } from './logger.ts';

/** Fills stores from the API server until its signal fires; a Reflector. */
export type Source = {
  readonly name: string;
  readonly synced: Promise<void>;
  run(signal: AbortSignal): Promise<void>;
};

/** Works from `run` until `stop` or `lost` fires and its last work is done; a Controller. */
export type Worker = {
  readonly name: string;
  run(stop: AbortSignal, lost: AbortSignal): Promise<void>;
};

export type ManagerOptions = {
  readonly sources: readonly Source[];
  readonly workers: readonly Worker[];
  /** Without one the workers start at once. */
  readonly election?: Pick<LeaderElection, 'run'>;
  readonly logger: Logger;
};

/**
 * Runs sources, and workers once all sources are synced and this process leads. On shutdown the
 * workers drain while the sources still run and the Lease is still held; then it is given back.
 */
export class Manager {
  readonly #options: ManagerOptions;
  #isSynced = false;

  constructor(options: ManagerOptions) {
    this.#options = options;
  }

  /** Why this process could not do its work yet if it led; undefined when it could. */
  problem(): string | undefined {
    return this.#isSynced ? undefined : 'the first lists from the API server are not complete';
  }

  /**
   * Ends when `signal` has fired and everything is shut down.
   *
   * @throws LeadershipLost, or the error of the first part that failed or ended unasked.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { sources, logger } = this.#options;
    const parts = new Parts(logger);
    const reading = new AbortController();
    const stop = AbortSignal.any([signal, parts.failed]);
    const running = sources.map((source) => parts.run(source, reading.signal));
    try {
      await settledOrAborted(Promise.all(sources.map(({ synced }) => synced)), stop);
      if (!stop.aborted) {
        this.#isSynced = true;
        logger.info('synced', { sources: sources.length });
        await this.#lead(parts, stop);
      }
    } finally {
      reading.abort();
      await Promise.all(running);
    }
    parts.failed.throwIfAborted();
  }

  async #lead(parts: Parts, stop: AbortSignal): Promise<void> {
    const { workers, election } = this.#options;
    const work = async (lost: AbortSignal): Promise<void> => {
      const ending = AbortSignal.any([stop, lost]);
      const run = (worker: Worker): Promise<void> =>
        parts.run({ name: worker.name, run: () => worker.run(stop, lost) }, ending);
      await Promise.all(workers.map(run));
    };
    if (election === undefined) await work(new AbortController().signal);
    else await election.run(stop, work);
  }
}

type Part = { readonly name: string; run(signal: AbortSignal): Promise<void> };

/** Parts that should run until they are told to end; the first that does not ends the others. */
class Parts {
  readonly #failed = new AbortController();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Fires, with the error as its reason, when a part failed or ended unasked. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Runs a part to its end. Never throws. */
  async run(part: Part, signal: AbortSignal): Promise<void> {
    try {
      await part.run(signal);
      if (!signal.aborted) throw new Error(`${part.name} ended although nothing asked it to`);
    } catch (error) {
      this.#logger.error('a part of the operator failed', {
        ...{ part: part.name, error: String(error) },
      });
      this.#failed.abort(error instanceof Error ? error : new Error(String(error)));
    }
  }
}

/** Resolves when `promise` does or `signal` fires. */
async function settledOrAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<undefined>();
  const abort = (): void => {
    aborted.resolve(undefined);
  };
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  await Promise.race([promise, aborted.promise]);
  signal.removeEventListener('abort', abort);
}

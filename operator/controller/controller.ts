import type { Clock } from './clock.ts';
import { loggerWith, type Logger } from './logger.ts';
import type { WorkQueue } from './work-queue.ts';

const WORKERS = 1;
const RECONCILE_TIMEOUT_MS = 60_000;

export type ReconcileContext = {
  /** Fires at the deadline of this run and when leadership is lost: write nothing after it. */
  readonly signal: AbortSignal;
  /** Adds the object and the reconcile id to every line. */
  readonly logger: Logger;
  readonly reconcileId: string;
};

/** `requeueAfterMs`: look at the object again then, whether or not it changes. */
export type ReconcileResult = { readonly requeueAfterMs?: number };

/** Brings one object nearer to what it should be. A throw means: try again, later and later. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileResult>;

export type ReconcileOutcome = 'success' | 'requeue_after' | 'error' | 'timeout';

export type ReconcileMetrics = {
  started(): void;
  finished(outcome: ReconcileOutcome, seconds: number): void;
};

export type ControllerOptions = {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly reconcile: Reconcile;
  /** How many keys are in work at once. Default 1. */
  readonly workers?: number;
  /** After this long the signal of a reconcile fires. Default 60,000. */
  readonly reconcileTimeoutMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes ids that tell one run from another in the log. */
  readonly newReconcileId: () => string;
  readonly metrics?: ReconcileMetrics;
};

/** Takes keys from a queue and reconciles them, each by one worker at a time. */
export class Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;

  constructor(options: ControllerOptions) {
    this.name = options.name;
    this.#options = options;
    this.#queue = options.queue;
  }

  /**
   * Works until one of two signals fires, and ends when nothing is in work any more.
   *
   * @param stop takes no further key and lets what is in work finish.
   * @param lost the same, and aborts what is in work: another may be at it already.
   */
  async run(stop: AbortSignal, lost: AbortSignal = new AbortController().signal): Promise<void> {
    const ending = AbortSignal.any([stop, lost]);
    const shutDown = (): void => {
      this.#queue.shutDown();
    };
    ending.addEventListener('abort', shutDown);
    if (ending.aborted) shutDown();
    try {
      const { workers = WORKERS } = this.#options;
      await Promise.all(Array.from({ length: workers }, () => this.#work(lost)));
    } finally {
      ending.removeEventListener('abort', shutDown);
    }
  }

  async #work(lost: AbortSignal): Promise<void> {
    for (;;) {
      const key = await this.#queue.get();
      if (key === undefined) return;
      try {
        await this.#reconcile(key, lost);
      } finally {
        this.#queue.done(key);
      }
    }
  }

  async #reconcile(key: string, lost: AbortSignal): Promise<void> {
    const { clock, metrics, newReconcileId } = this.#options;
    const reconcileId = newReconcileId();
    const logger = loggerWith(this.#options.logger, {
      ...{ controller: this.name, object: key, reconcileId },
    });
    const deadline = this.#deadline(logger);
    const signal = AbortSignal.any([deadline.signal, lost]);
    const startedAt = clock.now();
    metrics?.started();
    let outcome: ReconcileOutcome = 'success';
    try {
      const result = await this.#options.reconcile(key, { signal, logger, reconcileId });
      if (result.requeueAfterMs !== undefined) outcome = 'requeue_after';
      this.#queue.forget(key);
      if (result.requeueAfterMs !== undefined) this.#queue.addAfter(key, result.requeueAfterMs);
    } catch (error) {
      outcome = deadline.signal.aborted ? 'timeout' : 'error';
      this.#queue.addRateLimited(key);
      const failures = this.#queue.failures(key);
      logger.error('reconcile failed, trying again', { error: describe(error), failures });
    } finally {
      deadline.cancel();
      metrics?.finished(outcome, (clock.now() - startedAt) / 1000);
    }
  }

  #deadline(logger: Logger): { readonly signal: AbortSignal; readonly cancel: () => void } {
    const { clock, reconcileTimeoutMs = RECONCILE_TIMEOUT_MS } = this.#options;
    const controller = new AbortController();
    const cancel = clock.after(reconcileTimeoutMs, () => {
      logger.warn('reconcile takes too long, aborting it', { reconcileTimeoutMs });
      controller.abort(new Error(`reconcile took longer than ${reconcileTimeoutMs} ms`));
    });
    return { signal: controller.signal, cancel };
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

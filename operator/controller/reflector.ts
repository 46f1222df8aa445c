import type { KubernetesApi, ListOptions, WatchEvent } from './api-client.ts';
import { ApiError } from './api-error.ts';
import { delay, type Clock } from './clock.ts';
import { keyText, type KubernetesObject, type ResourceType } from './kubernetes-object.ts';
import type { LogFields, Logger } from './logger.ts';
import type { Change, KeyedChange, ObjectStore } from './object-store.ts';

const WATCH_SECONDS_MIN = 290;
const WATCH_SECONDS_MAX = 590;
const BACKOFF_MIN_MS = 800;
const BACKOFF_MAX_MS = 30_000;
/** A watch that ends sooner without an event was refused, whatever the server called it. */
const SHORT_WATCH_MS = 1_000;
const STALL_FACTOR = 1.5;
const SILENCE_FACTOR = 3;

/** Told of every change, after the store holds it. Should do no more than add keys to queues. */
export type ChangeHandler<T> = (key: string, change: Change<T>) => void;

export type ReflectorMetrics = {
  listed(): void;
  /** A list or a watch failed. */
  failed(): void;
  handlerFailed(): void;
};

export type ReflectorOptions<T extends KubernetesObject> = ListOptions & {
  readonly api: Pick<KubernetesApi, 'list' | 'watch'>;
  readonly type: ResourceType;
  readonly store: ObjectStore<T>;
  readonly handlers?: readonly ChangeHandler<T>[];
  readonly clock: Clock;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: ReflectorMetrics;
};

/**
 * Keeps a store in agreement with the API server, by a list and then watches for as long as it
 * runs. Whatever fails is tried again: only the signal ends it.
 */
export class Reflector<T extends KubernetesObject> {
  readonly name: string;
  readonly store: ObjectStore<T>;
  /** Resolves when the first list is in the store and the handlers were told of it. */
  readonly synced: Promise<void>;
  readonly #options: ReflectorOptions<T>;
  readonly #clock: Clock;
  readonly #synced = Promise.withResolvers<undefined>();
  #resourceVersion: string | undefined;
  #failures = 0;
  #isRunning = false;
  #contactAt: number;
  #watchTimeoutMs = WATCH_SECONDS_MAX * 1000;

  constructor(options: ReflectorOptions<T>) {
    this.name = options.type.plural;
    this.store = options.store;
    this.synced = this.#synced.promise;
    this.#options = options;
    this.#clock = options.clock;
    this.#contactAt = this.#clock.now();
  }

  /** Milliseconds since the server last answered a list, sent an event or ended a watch. */
  lastContactMs(): number {
    return this.#clock.now() - this.#contactAt;
  }

  /** Why this reflector cannot be trusted to see changes any more; undefined when all is well. */
  problem(): string | undefined {
    const silentMs = this.lastContactMs();
    if (silentMs <= SILENCE_FACTOR * this.#watchTimeoutMs) return undefined;
    return `no contact with the API server about ${this.name} for ${Math.round(silentMs / 1000)} s`;
  }

  /** Ends when `signal` fires. @throws Error when it runs already. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#isRunning) throw new Error(`the reflector of ${this.name} runs already`);
    this.#isRunning = true;
    this.#contactAt = this.#clock.now();
    try {
      while (!signal.aborted) await this.#turn(signal);
    } finally {
      this.#isRunning = false;
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    try {
      this.#resourceVersion ??= await this.#list(signal);
      if (this.#resourceVersion !== undefined) await this.#watch(this.#resourceVersion, signal);
    } catch (error) {
      if (signal.aborted) return;
      await delay(this.#clock, this.#pauseAfter(error), signal);
    }
  }

  /** The resource version of the list; undefined when `signal` fired first. */
  async #list(signal: AbortSignal): Promise<string | undefined> {
    const { api, type, namespace, labelSelector, metrics } = this.#options;
    const list = await unlessAborted(api.list<T>(type, { namespace, labelSelector }), signal);
    if (list === undefined) return undefined;
    metrics?.listed();
    this.#contactAt = this.#clock.now();
    for (const change of this.store.replace(list.items)) this.#tell(change);
    this.#synced.resolve(undefined);
    return list.resourceVersion;
  }

  async #watch(resourceVersion: string, outer: AbortSignal): Promise<void> {
    const { api, type, namespace, labelSelector, random } = this.#options;
    const range = WATCH_SECONDS_MAX - WATCH_SECONDS_MIN + 1;
    const timeoutSeconds = WATCH_SECONDS_MIN + Math.floor(random() * range);
    this.#watchTimeoutMs = timeoutSeconds * 1000;
    const startedAt = this.#clock.now();
    const stall = new StallTimer(this.#clock, STALL_FACTOR * this.#watchTimeoutMs);
    const signal = AbortSignal.any([outer, stall.signal]);
    const selection = { namespace, labelSelector };
    let events = 0;
    try {
      const watch = { ...selection, resourceVersion, timeoutSeconds, signal };
      for await (const event of api.watch(type, watch)) {
        events++;
        stall.restart();
        this.#take(event);
      }
    } catch (error) {
      if (stall.signal.aborted) throw new Error('the watch stalled', { cause: error });
      throw error;
    } finally {
      stall.stop();
    }
    if (outer.aborted) return;
    if (stall.signal.aborted) throw new Error('the watch stalled');
    this.#contactAt = this.#clock.now();
    if (events > 0) return;
    if (this.#clock.now() - startedAt < SHORT_WATCH_MS) throw new Error('the watch ended at once');
    this.#failures = 0;
  }

  #take({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      const { code = 0, reason = '', message = reason } = object as StatusObject;
      throw new ApiError(`the watch ended with an error: ${message}`, { code, reason });
    }
    this.#contactAt = this.#clock.now();
    this.#failures = 0;
    if (type === 'DELETED') {
      const key = keyText(object.metadata);
      this.#tell({ key, old: this.store.delete(key), current: undefined });
    } else if (type !== 'BOOKMARK') {
      this.#tell(this.store.set(object as T));
    }
    this.#resourceVersion = object.metadata.resourceVersion;
  }

  #tell({ key, old, current }: KeyedChange<T>): void {
    const { handlers = [], logger, metrics } = this.#options;
    for (const handler of handlers) {
      try {
        handler(key, { old, current });
      } catch (error) {
        metrics?.handlerFailed();
        logger.error(
          'a handler failed on a change',
          this.#fields({ object: key, error: String(error) }),
        );
      }
    }
  }

  /** How long to wait before the next attempt. */
  #pauseAfter(error: unknown): number {
    const { logger, random, metrics } = this.#options;
    const isGone = error instanceof ApiError && error.isGone;
    if (isGone) this.#resourceVersion = undefined;
    const failures = this.#failures++;
    if (isGone && failures === 0) {
      logger.debug('the resource version expired, listing again', this.#fields({}));
      return 0;
    }
    metrics?.failed();
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** failures * (1 + random()));
    const askedMs = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const pauseMs = Math.max(backoffMs, askedMs);
    logger.warn(
      'list or watch failed, trying again',
      this.#fields({ error: String(error), pauseMs }),
    );
    return pauseMs;
  }

  #fields(fields: LogFields): LogFields {
    return { resource: this.name, ...fields };
  }
}

type StatusObject = {
  readonly code?: number;
  readonly reason?: string;
  readonly message?: string;
};

/** A signal that fires when nobody called `restart` for `durationMs`. */
class StallTimer {
  readonly #clock: Clock;
  readonly #durationMs: number;
  readonly #controller = new AbortController();
  #cancel: () => void;

  constructor(clock: Clock, durationMs: number) {
    this.#clock = clock;
    this.#durationMs = durationMs;
    this.#cancel = this.#start();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  restart(): void {
    this.#cancel();
    this.#cancel = this.#start();
  }

  stop(): void {
    this.#cancel();
  }

  #start(): () => void {
    return this.#clock.after(this.#durationMs, () => {
      this.#controller.abort();
    });
  }
}

/** What `promise` brings, or undefined when `signal` fires first. */
async function unlessAborted<V>(promise: Promise<V>, signal: AbortSignal): Promise<V | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const abort = (): void => {
    aborted.resolve(undefined);
  };
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

import type { KubernetesApi } from './api-client.ts';
import { ApiError } from './api-error.ts';
import type { Clock } from './clock.ts';
import { keyText, type KubernetesObject, type ResourceType } from './kubernetes-object.ts';
import { microTime } from './kubernetes-time.ts';
import type { Logger } from './logger.ts';

/** The API's limits. */
const NOTE_BYTES_MAX = 1024;
const INSTANCE_LENGTH_MAX = 128;
const NAME_LENGTH_MAX = 253;
const SERIES_MS = 10 * 60_000;
const BURST = 25;
const REFILL_MS = 5 * 60_000;
/** Events not yet sent; further ones are dropped and counted. */
const PENDING_MAX = 1_000;
/** Series and buckets remembered; the oldest are forgotten, which costs a repeated event at most. */
const REMEMBERED_MAX = 4_096;
/** Where events about objects without a namespace live. */
const DEFAULT_NAMESPACE = 'default';

export const EVENTS: ResourceType = {
  group: 'events.k8s.io',
  version: 'v1',
  plural: 'events',
  kind: 'Event',
};

export type EventObject = KubernetesObject & {
  readonly eventTime: string;
  readonly reportingController: string;
  readonly reportingInstance: string;
  readonly action: string;
  readonly reason: string;
  readonly regarding: ObjectReference;
  readonly note: string;
  readonly type: 'Normal' | 'Warning';
  readonly series?: { readonly count: number; readonly lastObservedTime: string };
};

type ObjectReference = {
  readonly apiVersion?: string | undefined;
  readonly kind?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
};

export type RecordedEvent = {
  /** The object it is about, with `apiVersion` and `kind`. */
  readonly regarding: KubernetesObject;
  readonly type: 'Normal' | 'Warning';
  /** Why, for machines: `QuorumLost`. */
  readonly reason: string;
  /** What was done or tried, for machines: `Scale`. */
  readonly action: string;
  /** For people; cut to 1 kB. */
  readonly note: string;
};

export type EventMetrics = { failed(): void; dropped(): void };

export type EventRecorderOptions = {
  readonly api: Pick<KubernetesApi, 'create' | 'patch'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Such as `example.com/operator`. */
  readonly reportingController: string;
  /** The pod's name. */
  readonly reportingInstance: string;
  /** Makes the part of a name that tells events about one object apart. */
  readonly newSuffix: () => string;
  /** Events about one object that may come at once. Default 25. */
  readonly burst?: number;
  /** Pause after which an object may have one more. Default 5 minutes. */
  readonly refillMs?: number;
  readonly metrics?: EventMetrics;
};

type Series = { name: string; count: number; lastAt: number };
type Bucket = { tokens: number; at: number };

/**
 * Tells people what happened, as events.k8s.io/v1 Events. The same about the same object within
 * ten minutes raises the count of the first. Sent in the background, one after another: an event
 * that cannot be sent is logged and counted, never thrown.
 */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #series = new Map<string, Series>();
  readonly #buckets = new Map<string, Bucket>();
  #pending = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: EventRecorderOptions) {
    this.#options = options;
  }

  event(event: RecordedEvent): void {
    const { regarding, type, reason, action, note } = event;
    const what = [regarding.metadata.uid ?? '', type, reason, action, note];
    const series = this.#seriesOf(JSON.stringify(what));
    series.count++;
    if (!this.#mayTell(regarding) || this.#pending >= PENDING_MAX) {
      this.#options.metrics?.dropped();
      return;
    }
    const time = microTime(this.#options.clock.wallTime());
    this.#pending++;
    this.#sending = this.#sending.then(() => this.#send(event, series, time));
  }

  /** Resolves when all events so far were sent or failed. */
  flush(): Promise<void> {
    return this.#sending;
  }

  #seriesOf(key: string): Series {
    const now = this.#options.clock.now();
    const known = this.#series.get(key);
    const isOver = known === undefined || now - known.lastAt >= SERIES_MS;
    const series = isOver ? { name: '', count: 0, lastAt: now } : known;
    series.lastAt = now;
    remember(this.#series, key, series);
    return series;
  }

  /** A token bucket for each object. */
  #mayTell({ metadata }: KubernetesObject): boolean {
    const { clock, burst = BURST, refillMs = REFILL_MS } = this.#options;
    const now = clock.now();
    const key = metadata.uid ?? keyText(metadata);
    const bucket = this.#buckets.get(key) ?? { tokens: burst, at: now };
    const refilled = Math.floor((now - bucket.at) / refillMs);
    const tokens = Math.min(burst, bucket.tokens + refilled);
    const isAllowed = tokens > 0;
    // Parts of a refill that is under way are kept.
    const at = tokens === burst ? now : bucket.at + refilled * refillMs;
    remember(this.#buckets, key, { tokens: isAllowed ? tokens - 1 : 0, at });
    return isAllowed;
  }

  async #send(event: RecordedEvent, series: Series, time: string): Promise<void> {
    try {
      if (series.name === '' || !(await this.#continue(event, series, time))) {
        series.name = nameOf(event.regarding, this.#options.newSuffix());
        await this.#options.api.create(EVENTS, this.#objectOf(event, series, time));
      }
    } catch (error) {
      series.name = '';
      this.#options.metrics?.failed();
      const { regarding, reason } = event;
      const fields = { object: keyText(regarding.metadata), reason, error: String(error) };
      this.#options.logger.warn('an event could not be recorded', fields);
    } finally {
      this.#pending--;
    }
  }

  /** False when the first event of the series is gone from the server. */
  async #continue({ regarding }: RecordedEvent, series: Series, time: string): Promise<boolean> {
    const body = { series: { count: series.count, lastObservedTime: time } };
    const key = { namespace: namespaceOf(regarding), name: series.name };
    try {
      await this.#options.api.patch(EVENTS, key, { body });
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return false;
      throw error;
    }
  }

  #objectOf(event: RecordedEvent, { name }: Series, eventTime: string): EventObject {
    const { reportingController, reportingInstance } = this.#options;
    const { regarding, type, reason, action, note } = event;
    const { namespace, uid, resourceVersion } = regarding.metadata;
    return {
      metadata: { name, namespace: namespaceOf(regarding) },
      ...{ eventTime, reportingController, type, reason, action },
      reportingInstance: reportingInstance.slice(0, INSTANCE_LENGTH_MAX),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name: regarding.metadata.name,
        ...{ namespace, uid, resourceVersion },
      },
      note: cut(note, NOTE_BYTES_MAX),
    };
  }
}

function namespaceOf({ metadata }: KubernetesObject): string {
  return metadata.namespace ?? DEFAULT_NAMESPACE;
}

function nameOf({ metadata }: KubernetesObject, suffix: string): string {
  return `${metadata.name.slice(0, NAME_LENGTH_MAX - suffix.length - 1)}.${suffix}`;
}

/** At most `bytesMax` bytes of UTF-8, no character cut in two. */
function cut(text: string, bytesMax: number): string {
  const bytes = new TextEncoder().encodeInto(text, new Uint8Array(bytesMax));
  return text.slice(0, bytes.read);
}

/** Sets an entry as the newest and forgets the oldest beyond the bound. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= REMEMBERED_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}

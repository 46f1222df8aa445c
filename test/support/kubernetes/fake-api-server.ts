import { isDeepStrictEqual } from 'node:util';
import type {
  KubernetesApi,
  ListOptions,
  ObjectList,
  Preconditions,
  WatchEvent,
} from '../../../operator/controller/api-client.ts';
import { ApiError } from '../../../operator/controller/api-error.ts';
import type { Clock } from '../../../operator/controller/clock.ts';
import {
  apiVersionOf,
  pathOf,
  type KubernetesObject,
  type ObjectKey,
  type ResourceType,
} from '../../../operator/controller/kubernetes-object.ts';
import { timestamp } from '../../../operator/controller/kubernetes-time.ts';
import { FakeWatch } from './fake-watch.ts';
import { FieldOwnership } from './field-ownership.ts';
import { frozenCopy, mergePatched, without, type JsonMap } from './json-value.ts';
import { mustBeNewest, mustHold, mustNotExpect, refusal } from './preconditions.ts';
import { isSelected } from './selection.ts';
import { effective } from './subresource.ts';

const MILLISECONDS = 1_000;
const PODS: ResourceType = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };

/** A kind that the fake serves. */
export type FakeKind = ResourceType & {
  /** It has a status subresource and a generation. Default: no. */
  readonly hasStatus?: boolean;
};

/** What a fault hook is asked about. */
export type FakeRequest = {
  /** Counts all requests from 1. */
  readonly number: number;
  readonly verb: 'get' | 'list' | 'watch' | 'create' | 'apply' | 'patch' | 'delete' | 'evict';
  readonly type: ResourceType;
  readonly key?: ObjectKey | undefined;
  readonly subresource?: string | undefined;
  readonly body?: unknown;
};

export type FakeApiServerOptions = {
  readonly clock: Clock;
  readonly kinds: readonly FakeKind[];
  /** An error instead of the request; a throw stands for the caller's own crash. */
  readonly before?: (request: FakeRequest) => 'proceed' | ApiError;
  /** The same once the request has taken effect: an answer that gets lost. */
  readonly after?: (request: FakeRequest) => 'proceed' | ApiError;
  /** Whether disruption budgets allow the eviction of a pod. Default: yes. */
  readonly mayEvict?: (pod: KubernetesObject) => boolean;
};

type Stored = {
  readonly kind: FakeKind;
  readonly object: KubernetesObject & JsonMap;
  readonly ownership: FieldOwnership;
};

type Happening = {
  readonly version: number;
  readonly kind: FakeKind;
  readonly old: KubernetesObject | undefined;
  readonly current: KubernetesObject | undefined;
  /** The last state of what was deleted, at the version of the deletion. */
  readonly object: KubernetesObject;
};

type OpenWatch = {
  readonly watch: FakeWatch;
  readonly kind: FakeKind;
  readonly options: ListOptions;
};

/**
 * An API server in memory. Every request takes effect at the call, before its promise settles, so
 * runs repeat exactly. The objects it hands out are frozen. Methods that do not return promises are
 * for the test itself: they pass no fault hook.
 */
export class FakeApiServer implements KubernetesApi {
  readonly #options: FakeApiServerOptions;
  readonly #objects = new Map<string, Stored>();
  readonly #watches = new Set<OpenWatch>();
  #history: Happening[] = [];
  /** Watches cannot start before this version. */
  #compactedAt = 0;
  /** That of an empty store: no object has it. */
  #version = 1;
  #uids = 0;
  #requests = 0;

  /** Requests by verb since the beginning. */
  readonly requests: FakeRequest[] = [];

  constructor(options: FakeApiServerOptions) {
    this.#options = options;
  }

  /** Requests so far that change something. */
  get writes(): readonly FakeRequest[] {
    return this.requests.filter(({ verb }) => !['get', 'list', 'watch'].includes(verb));
  }

  get<T extends KubernetesObject>(type: ResourceType, key: ObjectKey): Promise<T | undefined> {
    return this.#serve({ verb: 'get', type, key }, () => this.peek<T>(type, key));
  }

  list<T extends KubernetesObject>(
    type: ResourceType,
    options: ListOptions = {},
  ): Promise<ObjectList<T>> {
    return this.#serve({ verb: 'list', type }, () => ({
      items: this.peekAll<T>(type, options),
      resourceVersion: String(this.#version),
    }));
  }

  create<T extends KubernetesObject>(type: ResourceType, object: T): Promise<T> {
    const request = { verb: 'create', type, key: object.metadata, body: object } as const;
    return this.#serve(request, () => {
      const kind = this.#kindOf(type);
      const initial = asObject(kind.hasStatus === true ? without(object, 'status') : object);
      if (this.peek(type, object.metadata) !== undefined) {
        throw refusal(409, 'AlreadyExists', `${nameOf(type, object.metadata)} already exists`);
      }
      const ownership = new FieldOwnership();
      ownership.changed({}, initial, 'create');
      return this.#store(kind, { object: initial, ownership }) as T;
    });
  }

  apply<T extends KubernetesObject>(
    type: ResourceType,
    object: KubernetesObject,
    options: { readonly fieldManager: string; readonly force?: boolean; readonly dryRun?: boolean },
  ): Promise<T> {
    const request = { verb: 'apply', type, key: object.metadata, body: object } as const;
    return this.#serve(request, () => {
      const { fieldManager: manager, force = true, dryRun = false } = options;
      const kind = this.#kindOf(type);
      const applied = kind.hasStatus === true ? without(object, 'status') : asObject(object);
      const stored = this.#find(type, object.metadata);
      if (stored !== undefined) mustBeNewest(stored.object, object.metadata);
      else mustNotExpect(object.metadata);
      const ownership = stored?.ownership.clone() ?? new FieldOwnership();
      const live = stored?.object ?? { metadata: identityOf(object.metadata) };
      const outcome = ownership.apply(live, applied, { manager, force });
      if ('conflict' in outcome) {
        const message = `conflict with ${outcome.owner} about ${outcome.conflict}`;
        throw refusal(409, 'Conflict', message);
      }
      const result = outcome.object as KubernetesObject & JsonMap;
      if (dryRun) return frozenCopy(result) as unknown as T;
      return this.#store(kind, { object: result, ownership }) as T;
    });
  }

  patch<T extends KubernetesObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: {
      readonly body: unknown;
      readonly subresource?: string;
      readonly fieldManager?: string;
    },
  ): Promise<T> {
    const { body, subresource, fieldManager = 'patch' } = patch;
    return this.#serve({ verb: 'patch', type, key, subresource, body }, () => {
      const { kind, object, ownership } = this.#mustFind(type, key);
      const preconditions = (body as { readonly metadata?: Preconditions }).metadata ?? {};
      mustBeNewest(object, preconditions);
      const patched = mergePatched(object, body) as KubernetesObject & JsonMap;
      const result = effective(kind, { before: object, patched, subresource });
      const owners = ownership.clone();
      owners.changed(object, result, fieldManager);
      return this.#store(kind, { object: result, ownership: owners }) as T;
    });
  }

  delete(
    type: ResourceType,
    key: ObjectKey,
    options: {
      readonly preconditions?: Preconditions;
      readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
    } = {},
  ): Promise<void> {
    return this.#serve({ verb: 'delete', type, key, body: options }, () => {
      const stored = this.#find(type, key);
      if (stored === undefined) return;
      mustHold(stored.object, options.preconditions ?? {});
      this.remove(type, key, options.propagationPolicy);
    });
  }

  evict(
    pod: ObjectKey,
    { uid, dryRun = false }: { readonly uid: string; readonly dryRun?: boolean },
  ): Promise<void> {
    return this.#serve({ verb: 'evict', type: PODS, key: pod, body: { uid, dryRun } }, () => {
      const { object } = this.#mustFind(PODS, pod);
      mustHold(object, { uid });
      if (this.#options.mayEvict?.(object) === false) {
        throw refusal(429, 'TooManyRequests', 'a disruption budget forbids the eviction');
      }
      if (!dryRun) this.remove(PODS, pod);
    });
  }

  async *watch(
    type: ResourceType,
    options: ListOptions & {
      readonly resourceVersion: string;
      readonly timeoutSeconds: number;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<WatchEvent> {
    const { resourceVersion, timeoutSeconds, signal } = options;
    const watch = await this.#serve({ verb: 'watch', type }, () => {
      if (Number(resourceVersion) < this.#compactedAt) {
        throw refusal(410, 'Expired', `too old resource version: ${resourceVersion}`);
      }
      return this.#open(this.#kindOf(type), options);
    });
    const timeoutMs = timeoutSeconds * MILLISECONDS;
    const cancel = this.#options.clock.after(timeoutMs, () => {
      watch.end();
    });
    const abort = (): void => {
      watch.end(new ApiError('the watch broke off: aborted', { code: 0 }));
    };
    signal.addEventListener('abort', abort);
    if (signal.aborted) abort();
    try {
      yield* watch;
    } finally {
      cancel();
      signal.removeEventListener('abort', abort);
    }
  }

  /** An object as it is. */
  peek<T extends KubernetesObject>(type: ResourceType, key: ObjectKey): Readonly<T> | undefined {
    return this.#find(type, key)?.object as Readonly<T> | undefined;
  }

  /** All objects of a kind, by key. */
  peekAll<T extends KubernetesObject>(type: ResourceType, options: ListOptions = {}): T[] {
    this.#kindOf(type);
    return [...this.#objects]
      .filter(([, { kind }]) => isSameType(kind, type))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { object }]) => object as unknown as T)
      .filter((object) => isSelected(object, options));
  }

  /** Makes `object` what is stored, status included, whatever was there: as others would. */
  put(type: ResourceType, object: KubernetesObject, manager = 'put'): KubernetesObject {
    const stored = this.#find(type, object.metadata);
    const ownership = stored?.ownership.clone() ?? new FieldOwnership();
    ownership.changed(stored?.object ?? {}, object, manager);
    return this.#store(this.#kindOf(type), { object, ownership });
  }

  /** Deletes an object and what it owns; one with finalizers gets its deletion timestamp. */
  remove(
    type: ResourceType,
    key: ObjectKey,
    propagation: 'Orphan' | 'Background' | 'Foreground' = 'Background',
  ): void {
    const stored = this.#find(type, key);
    if (stored === undefined) return;
    const { kind, object, ownership } = stored;
    if (propagation === 'Orphan') this.#orphan(object.metadata.uid);
    if ((object.metadata.finalizers ?? []).length === 0) {
      this.#drop(stored);
      return;
    }
    const deletionTimestamp = object.metadata.deletionTimestamp ?? this.#timestamp();
    const metadata = { ...object.metadata, deletionTimestamp };
    this.#store(kind, { object: { ...object, metadata }, ownership });
  }

  /** Forgets the history: watches that start from before now are told `Expired`. */
  compact(): void {
    this.#compactedAt = this.#version;
    this.#history = [];
  }

  /** Sends all open watches of a kind a bookmark. */
  bookmark(type: ResourceType): void {
    const metadata = { name: '', resourceVersion: String(this.#version) };
    this.#send(type, { type: 'BOOKMARK', object: { metadata } });
  }

  /** Sends all open watches of a kind an event as it is. */
  #send(type: ResourceType, event: WatchEvent): void {
    for (const { kind, watch } of this.#watches) if (isSameType(kind, type)) watch.push(event);
  }

  /** Sends all open watches of a kind an ERROR event and ends them. */
  failWatches(
    type: ResourceType,
    status: { readonly code: number; readonly reason: string },
  ): void {
    this.#send(type, { type: 'ERROR', object: { metadata: { name: '' }, ...status } });
    this.endWatches(type);
  }

  /** Ends all open watches of a kind; with an error they break. */
  endWatches(type: ResourceType, error?: ApiError): void {
    for (const { kind, watch } of [...this.#watches]) {
      if (isSameType(kind, type)) watch.end(error);
    }
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** Never rejects before its effect; never settles before the caller holds the promise. */
  async #serve<V>(details: Omit<FakeRequest, 'number'>, effect: () => V): Promise<V> {
    const request = { number: ++this.#requests, ...details };
    this.requests.push(request);
    const fault = this.#options.before?.(request) ?? 'proceed';
    if (fault !== 'proceed') return Promise.reject(fault);
    const result = effect();
    const lost = this.#options.after?.(request) ?? 'proceed';
    return lost === 'proceed' ? Promise.resolve(result) : Promise.reject(lost);
  }

  #kindOf(type: ResourceType): FakeKind {
    const kind = this.#options.kinds.find((each) => isSameType(each, type));
    if (kind === undefined) throw refusal(404, 'NotFound', `${type.plural} are not served`);
    return kind;
  }

  #find(type: ResourceType, { namespace, name }: ObjectKey): Stored | undefined {
    this.#kindOf(type);
    return this.#objects.get(pathOf(type, namespace, name));
  }

  #mustFind(type: ResourceType, key: ObjectKey): Stored {
    const stored = this.#find(type, key);
    if (stored === undefined) throw refusal(404, 'NotFound', `${nameOf(type, key)} not found`);
    return stored;
  }

  /** Stores a new state of an object, unless it is the present one. */
  #store(
    kind: FakeKind,
    {
      object,
      ownership,
    }: { readonly object: KubernetesObject; readonly ownership: FieldOwnership },
  ): KubernetesObject {
    const path = pathOf(kind, object.metadata.namespace, object.metadata.name);
    const stored = this.#objects.get(path);
    const old = stored?.object;
    const current = this.#completed(kind, object, old);
    const isSame = old !== undefined && isDeepStrictEqual(frozenCopy(current), old);
    const kept = isSame ? old : this.#versioned(current);
    this.#objects.set(path, { kind, object: asObject(kept), ownership });
    if (isSame) return kept;
    this.#happened({ kind, old, current: kept, object: kept });
    const isFinal =
      kept.metadata.deletionTimestamp !== undefined &&
      (kept.metadata.finalizers ?? []).length === 0;
    if (isFinal) this.#drop(this.#mustFind(kind, kept.metadata));
    return kept;
  }

  /** What the server adds of its own. */
  #completed(
    kind: FakeKind,
    object: KubernetesObject,
    old: KubernetesObject | undefined,
  ): KubernetesObject {
    const generation = old?.metadata.generation ?? 0;
    const isNewSpec = old === undefined || !isDeepStrictEqual(specOf(old), specOf(object));
    return {
      ...object,
      apiVersion: apiVersionOf(kind),
      kind: kind.kind,
      metadata: {
        ...object.metadata,
        uid: old?.metadata.uid ?? `uid-${++this.#uids}`,
        creationTimestamp: old?.metadata.creationTimestamp ?? this.#timestamp(),
        resourceVersion: old?.metadata.resourceVersion ?? '',
        ...(kind.hasStatus === true && { generation: generation + Number(isNewSpec) }),
      },
    };
  }

  #versioned(object: KubernetesObject): KubernetesObject {
    const resourceVersion = String(++this.#version);
    return frozenCopy({ ...object, metadata: { ...object.metadata, resourceVersion } });
  }

  #drop({ kind, object }: Stored): void {
    this.#objects.delete(pathOf(kind, object.metadata.namespace, object.metadata.name));
    const last = this.#versioned(object);
    this.#happened({ kind, old: object, current: undefined, object: last });
    this.#collect(object.metadata.uid);
  }

  /** Deletes what only the owner `uid` kept alive. */
  #collect(uid: string | undefined): void {
    for (const { kind, object, ownership } of [...this.#objects.values()]) {
      const { ownerReferences = [], ...metadata } = object.metadata;
      const others = ownerReferences.filter((owner) => owner.uid !== uid);
      if (others.length === ownerReferences.length) continue;
      if (others.length === 0) {
        this.remove(kind, object.metadata);
        continue;
      }
      const kept = { ...object, metadata: { ...metadata, ownerReferences: others } };
      this.#store(kind, { object: kept, ownership });
    }
  }

  /** Takes the owner `uid` off all that have it. */
  #orphan(uid: string | undefined): void {
    for (const { kind, object, ownership } of [...this.#objects.values()]) {
      const { ownerReferences = [], ...metadata } = object.metadata;
      const others = ownerReferences.filter((owner) => owner.uid !== uid);
      if (others.length === ownerReferences.length) continue;
      const rest = others.length === 0 ? {} : { ownerReferences: others };
      this.#store(kind, { object: { ...object, metadata: { ...metadata, ...rest } }, ownership });
    }
  }

  #happened(change: Omit<Happening, 'version'>): void {
    const happening = { version: this.#version, ...change };
    this.#history.push(happening);
    for (const { kind, watch, options } of this.#watches) {
      if (!isSameType(kind, change.kind)) continue;
      const event = eventOf(happening, options);
      if (event !== undefined) watch.push(event);
    }
  }

  #open(kind: FakeKind, options: ListOptions & { readonly resourceVersion: string }): FakeWatch {
    const watch = new FakeWatch(() => this.#watches.delete(open));
    const open = { watch, kind, options };
    this.#watches.add(open);
    for (const happening of this.#history) {
      if (happening.version <= Number(options.resourceVersion)) continue;
      if (!isSameType(happening.kind, kind)) continue;
      const event = eventOf(happening, options);
      if (event !== undefined) watch.push(event);
    }
    return watch;
  }

  #timestamp(): string {
    return timestamp(this.#options.clock.wallTime());
  }
}

function nameOf(type: ResourceType, { name }: ObjectKey): string {
  return `${type.plural} "${name}"`;
}

/** JSON as an object: it was one before. */
function asObject(value: JsonMap): KubernetesObject & JsonMap {
  return value as KubernetesObject & JsonMap;
}

function identityOf({ name, namespace }: ObjectKey): ObjectKey {
  return { name, ...(namespace !== undefined && { namespace }) };
}

function isSameType(a: ResourceType, b: ResourceType): boolean {
  return a.group === b.group && a.version === b.version && a.plural === b.plural;
}

function specOf(object: KubernetesObject): unknown {
  return frozenCopy(without(object, 'metadata', 'status', 'apiVersion', 'kind'));
}

/** How a watch sees a change: an object may come into its selection or leave it. */
function eventOf(
  { old, current, object }: Happening,
  options: ListOptions,
): WatchEvent | undefined {
  const wasIn = old !== undefined && isSelected(old, options);
  const isIn = current !== undefined && isSelected(current, options);
  if (!wasIn && !isIn) return undefined;
  if (!wasIn) return { type: 'ADDED', object };
  return { type: isIn ? 'MODIFIED' : 'DELETED', object };
}

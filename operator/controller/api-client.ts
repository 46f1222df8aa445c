import type { KubeConfig } from '@kubernetes/client-node';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent, request as requestHttps, type RequestOptions } from 'node:https';
import { ApiError } from './api-error.ts';
import {
  apiVersionOf,
  pathOf,
  type KubernetesObject,
  type ObjectKey,
  type ResourceType,
} from './kubernetes-object.ts';

const REQUEST_TIMEOUT_MS = 30_000;
const LIST_PAGE_OBJECTS = 500;
const MILLISECONDS = 1_000;
/** Each watch holds one for as long as it lasts. */
const CONNECTIONS_MAX = 64;

/** One request as it goes out; `query` values that are undefined are left out. */
export type ApiRequest = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly contentType?: string;
  readonly body?: unknown;
};

export type Preconditions = { readonly uid?: string; readonly resourceVersion?: string };

export type ObjectList<T> = { readonly items: readonly T[]; readonly resourceVersion: string };

export type ListOptions = {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
};

/** What the controllers ask of the API server; the tests have one in memory. */
export type KubernetesApi = {
  /** Undefined when there is no such object. */
  get<T extends KubernetesObject>(type: ResourceType, key: ObjectKey): Promise<T | undefined>;
  /** All objects, asked for page by page. */
  list<T extends KubernetesObject>(
    type: ResourceType,
    options?: ListOptions,
  ): Promise<ObjectList<T>>;
  create<T extends KubernetesObject>(type: ResourceType, object: T): Promise<T>;
  /** Server-side apply: `object` holds only what this field manager owns. */
  apply<T extends KubernetesObject>(
    type: ResourceType,
    object: KubernetesObject,
    options: {
      readonly fieldManager: string;
      readonly force?: boolean;
      readonly dryRun?: boolean;
    },
  ): Promise<T>;
  /** A JSON merge patch of an object, or of a subresource of it such as `status`. */
  patch<T extends KubernetesObject>(
    type: ResourceType,
    key: ObjectKey,
    patch: {
      readonly body: unknown;
      readonly subresource?: string;
      readonly fieldManager?: string;
    },
  ): Promise<T>;
  /** Succeeds too when the object is gone. Preconditions that do not hold are a conflict. */
  delete(
    type: ResourceType,
    key: ObjectKey,
    options?: {
      readonly preconditions?: Preconditions;
      readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
    },
  ): Promise<void>;
  /** Asks for the eviction of a pod; 429 means that a disruption budget forbids it now. */
  evict(
    pod: ObjectKey,
    options: { readonly uid: string; readonly dryRun?: boolean },
  ): Promise<void>;
  /**
   * Lines of a watch as they come; ends when the server ends it or `signal` fires.
   *
   * @throws ApiError when it cannot be opened or breaks.
   */
  watch(
    type: ResourceType,
    options: ListOptions & {
      readonly resourceVersion: string;
      readonly timeoutSeconds: number;
      readonly signal: AbortSignal;
    },
  ): AsyncIterable<WatchEvent>;
};

export type WatchEvent = {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubernetesObject & { readonly code?: number; readonly reason?: string };
};

/** Called after every request, for metrics: the HTTP status, 0 when there was no answer. */
export type RequestObserver = (request: ApiRequest, code: number) => void;

/**
 * The API server over HTTPS, objects as the JSON that it sends. Typed clients drop fields that are
 * newer than they are, which must not happen to objects that are written back.
 */
export class ApiClient implements KubernetesApi {
  readonly #config: KubeConfig;
  readonly #observe: RequestObserver;
  /** One that keeps connections for each that the configuration makes. */
  readonly #agents = new WeakMap<object, Agent>();

  constructor(config: KubeConfig, observe: RequestObserver = () => undefined) {
    this.#config = config;
    this.#observe = observe;
  }

  async get<T extends KubernetesObject>(
    type: ResourceType,
    key: ObjectKey,
  ): Promise<T | undefined> {
    const path = pathOf(type, key.namespace, key.name);
    try {
      return await this.request<T>({ method: 'GET', path });
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return undefined;
      throw error;
    }
  }

  async list<T extends KubernetesObject>(
    type: ResourceType,
    { namespace, labelSelector }: ListOptions = {},
  ): Promise<ObjectList<T>> {
    type Page = {
      readonly items: readonly T[];
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
    };
    const typed = { apiVersion: apiVersionOf(type), kind: type.kind };
    const items: T[] = [];
    let next: string | undefined;
    for (;;) {
      const page: Page = await this.request<Page>({
        method: 'GET',
        path: pathOf(type, namespace),
        query: { labelSelector, limit: String(LIST_PAGE_OBJECTS), continue: next },
      });
      // The server leaves out what all items have in common.
      items.push(...page.items.map((item) => ({ ...typed, ...item })));
      next = page.metadata.continue;
      if (next === undefined || next === '') {
        return { items, resourceVersion: page.metadata.resourceVersion };
      }
    }
  }

  create<T extends KubernetesObject>(type: ResourceType, object: T): Promise<T> {
    const body = { apiVersion: apiVersionOf(type), kind: type.kind, ...object };
    return this.request({ method: 'POST', path: pathOf(type, object.metadata.namespace), body });
  }

  apply<T extends KubernetesObject>(
    type: ResourceType,
    object: KubernetesObject,
    {
      fieldManager,
      force = true,
      dryRun = false,
    }: { readonly fieldManager: string; readonly force?: boolean; readonly dryRun?: boolean },
  ): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.request({
      method: 'PATCH',
      path: pathOf(type, namespace, name),
      query: { fieldManager, force: String(force), dryRun: dryRun ? 'All' : undefined },
      contentType: 'application/apply-patch+yaml',
      body: { ...object, apiVersion: apiVersionOf(type), kind: type.kind },
    });
  }

  patch<T extends KubernetesObject>(
    type: ResourceType,
    key: ObjectKey,
    {
      body,
      subresource,
      fieldManager,
    }: { readonly body: unknown; readonly subresource?: string; readonly fieldManager?: string },
  ): Promise<T> {
    const path = pathOf(type, key.namespace, key.name);
    return this.request({
      method: 'PATCH',
      path: subresource === undefined ? path : `${path}/${subresource}`,
      query: { fieldManager },
      contentType: 'application/merge-patch+json',
      body,
    });
  }

  async delete(
    type: ResourceType,
    key: ObjectKey,
    options: {
      readonly preconditions?: Preconditions;
      readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground';
    } = {},
  ): Promise<void> {
    try {
      await this.request({
        method: 'DELETE',
        path: pathOf(type, key.namespace, key.name),
        body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options },
      });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 404) throw error;
    }
  }

  async evict(
    pod: ObjectKey,
    { uid, dryRun = false }: { readonly uid: string; readonly dryRun?: boolean },
  ): Promise<void> {
    const pods = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };
    await this.request({
      method: 'POST',
      path: `${pathOf(pods, pod.namespace, pod.name)}/eviction`,
      query: { dryRun: dryRun ? 'All' : undefined },
      body: {
        apiVersion: 'policy/v1',
        kind: 'Eviction',
        metadata: { name: pod.name, namespace: pod.namespace },
        deleteOptions: { preconditions: { uid } },
      },
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
    const { namespace, labelSelector, resourceVersion, timeoutSeconds, signal } = options;
    const query = {
      ...{ watch: 'true', allowWatchBookmarks: 'true', labelSelector, resourceVersion },
      timeoutSeconds: String(timeoutSeconds),
    };
    const request = { method: 'GET', path: pathOf(type, namespace), query } as const;
    const response = await this.#send(request, signal);
    yield* linesOf(response);
  }

  /** One request and its JSON answer. @throws ApiError for anything but success. */
  async request<T>(request: ApiRequest, timeoutMs = REQUEST_TIMEOUT_MS): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    const text = await textOf(await this.#send(request, signal));
    try {
      return JSON.parse(text) as T;
    } catch (cause) {
      const where = `${request.method} ${request.path}`;
      throw new ApiError(`${where}: the answer is not JSON`, { code: 0, cause });
    }
  }

  /** Resolves with a successful response, whose body is still to be read. */
  async #send(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null) {
      const advice = 'set KUBECONFIG, or run in a pod with a service account';
      throw new ApiError(`no Kubernetes cluster is configured: ${advice}`, { code: 0 });
    }
    const options = await this.#credentials();
    options.agent = this.#keepingAgent(options.agent);
    const url = new URL(cluster.server.replace(/\/$/, '') + request.path);
    for (const [name, value] of Object.entries(request.query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    const response = await this.#exchange(url, request, { ...options, signal });
    const code = response.statusCode ?? 0;
    this.#observe(request, code);
    if (code >= 200 && code < 300) return response;
    throw errorOf(response, request, await textOf(response));
  }

  /** What the configuration says of certificates and tokens; it may run a program to get them. */
  async #credentials(): Promise<RequestOptions> {
    const options: RequestOptions = {};
    try {
      await this.#config.applyToHTTPSOptions(options);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ApiError(`the kubeconfig gives no credentials: ${why}`, { code: 0, cause });
    }
    return options;
  }

  /** The configuration's agent makes a connection for each request, which costs milliseconds. */
  #keepingAgent(given: RequestOptions['agent']): RequestOptions['agent'] {
    if (!(given instanceof Agent) || given.constructor !== Agent) return given;
    const known = this.#agents.get(given);
    if (known !== undefined) return known;
    const agent = new Agent({ ...given.options, keepAlive: true, maxSockets: CONNECTIONS_MAX });
    this.#agents.set(given, agent);
    return agent;
  }

  #exchange(url: URL, request: ApiRequest, options: RequestOptions): Promise<IncomingMessage> {
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const headers = {
      ...(options.headers as Record<string, string> | undefined),
      accept: 'application/json',
      ...(body !== undefined && {
        'content-type': request.contentType ?? 'application/json',
        'content-length': String(Buffer.byteLength(body)),
      }),
    };
    const send = url.protocol === 'http:' ? requestHttp : requestHttps;
    return new Promise((resolve, reject) => {
      const outgoing = send(url, { ...options, method: request.method, headers }, resolve);
      outgoing.on('error', (cause) => {
        this.#observe(request, 0);
        const where = `${request.method} ${request.path}`;
        reject(new ApiError(`${where}: ${cause.message}`, { code: 0, cause }));
      });
      outgoing.end(body);
    });
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  try {
    for await (const part of response) parts.push(part as Buffer);
  } catch (cause) {
    throw new ApiError('the API server broke off its answer', { code: 0, cause });
  }
  return Buffer.concat(parts).toString('utf8');
}

/** The JSON values of a stream with one on each line. */
async function* linesOf(response: IncomingMessage): AsyncIterable<WatchEvent> {
  response.setEncoding('utf8');
  let rest = '';
  try {
    for await (const part of response) {
      const lines = (rest + String(part)).split('\n');
      rest = lines.pop() ?? '';
      yield* lines.filter((line) => line !== '').map((line) => JSON.parse(line) as WatchEvent);
    }
  } catch (cause) {
    throw new ApiError('the watch broke off', { code: 0, cause });
  } finally {
    response.destroy();
  }
}

function errorOf(response: IncomingMessage, request: ApiRequest, text: string): ApiError {
  const { message, reason } = statusOf(text);
  const seconds = Number(response.headers['retry-after']);
  return new ApiError(`${request.method} ${request.path}: ${message}`, {
    code: response.statusCode ?? 0,
    reason,
    retryAfterMs: Number.isFinite(seconds) ? seconds * MILLISECONDS : undefined,
  });
}

/** The API server answers with a Status object; proxies in front of it with anything. */
function statusOf(text: string): { readonly message: string; readonly reason: string } {
  try {
    const status = JSON.parse(text) as { readonly message?: string; readonly reason?: string };
    return { message: status.message ?? text, reason: status.reason ?? '' };
  } catch {
    return { message: text.slice(0, 200), reason: '' };
  }
}

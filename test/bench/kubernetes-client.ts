import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { KubernetesApi, WatchEvent } from '../../operator/controller/api-client.ts';
import { ApiError } from '../../operator/controller/api-error.ts';
import { FakeWatch } from '../support/kubernetes/fake-watch.ts';
import type { Call, Progress, Reply } from './kubernetes-process.ts';

type Waiting = {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
};

/** The API server of another process. */
export class KubernetesClient implements KubernetesApi, Disposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watches = new Map<number, FakeWatch>();
  #calls = 0;
  /** Of all servers, whatever their address. */
  readonly port: Promise<number>;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'kubernetes-process.ts'));
    this.port = new Promise((resolve, reject) => {
      this.#waiting.set(0, { resolve: (port) => resolve(Number(port)), reject });
    });
    this.#child.on('message', (reply: Reply) => {
      this.#take(reply);
    });
  }

  readonly get: KubernetesApi['get'] = (...args) => this.#call('get', args);
  readonly list: KubernetesApi['list'] = (...args) => this.#call('list', args);
  readonly create: KubernetesApi['create'] = (...args) => this.#call('create', args);
  readonly apply: KubernetesApi['apply'] = (...args) => this.#call('apply', args);
  readonly patch: KubernetesApi['patch'] = (...args) => this.#call('patch', args);
  readonly delete: KubernetesApi['delete'] = (...args) => this.#call('delete', args);
  readonly evict: KubernetesApi['evict'] = (...args) => this.#call('evict', args);

  async *watch(...args: Parameters<KubernetesApi['watch']>): AsyncIterable<WatchEvent> {
    const [type, { signal, ...options }] = args;
    const id = this.#calls + 1;
    const watch = new FakeWatch(() => this.#watches.delete(id));
    this.#watches.set(id, watch);
    const abort = (): void => {
      watch.end(new ApiError('the watch broke off: aborted', { code: 0 }));
    };
    signal.addEventListener('abort', abort);
    void this.#call('watch', [type, options]).then(() => {
      watch.end();
    });
    yield* watch;
  }

  /** Makes so many AtomicClusters. */
  applyClusters(count: number): Promise<void> {
    return this.#call('applyClusters', [count]);
  }

  progress(): Promise<Progress> {
    return this.#call('progress', []);
  }

  [Symbol.dispose](): void {
    this.#child.disconnect();
  }

  #call<T>(method: Call['method'], args: readonly unknown[]): Promise<T> {
    const id = ++this.#calls;
    this.#child.send({ id, method, args } satisfies Call);
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    }) as Promise<T>;
  }

  #take({ id, result, error }: Reply): void {
    const watch = this.#watches.get(id);
    if (watch !== undefined && result !== undefined) {
      watch.push(result as WatchEvent);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new ApiError(error.message, error));
  }
}

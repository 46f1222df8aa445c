import type { ApiError } from '../../../operator/controller/api-error.ts';
import type { WatchEvent } from '../../../operator/controller/api-client.ts';

type Waiter = (result: IteratorResult<WatchEvent>) => void;

/** One open watch of the fake API server: a stream that its owner feeds, ends or breaks. */
export class FakeWatch implements AsyncIterable<WatchEvent> {
  readonly #events: WatchEvent[] = [];
  readonly #onClose: () => void;
  #waiter: { readonly resolve: Waiter; readonly reject: (error: Error) => void } | undefined;
  #end: Error | 'ended' | undefined;

  constructor(onClose: () => void) {
    this.#onClose = onClose;
  }

  push(event: WatchEvent): void {
    if (this.#end !== undefined) return;
    this.#events.push(event);
    this.#deliver();
  }

  /** Ends the stream, with an error if there is one, after what was pushed. */
  end(error?: ApiError): void {
    if (this.#end !== undefined) return;
    this.#end = error ?? 'ended';
    this.#onClose();
    this.#deliver();
  }

  [Symbol.asyncIterator](): AsyncIterator<WatchEvent> {
    return {
      next: () =>
        new Promise((resolve, reject) => {
          this.#waiter = { resolve, reject };
          this.#deliver();
        }),
      return: () => {
        this.end();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  #deliver(): void {
    const waiter = this.#waiter;
    if (waiter === undefined) return;
    const event = this.#events.shift();
    if (event === undefined && this.#end === undefined) return;
    this.#waiter = undefined;
    if (event !== undefined) waiter.resolve({ done: false, value: event });
    else if (this.#end instanceof Error) waiter.reject(this.#end);
    else waiter.resolve({ done: true, value: undefined });
  }
}

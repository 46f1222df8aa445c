import type { AtomicClient } from './atomic-client.ts';
import { AtomicError } from './atomic-error.ts';

/** What happened to one attempt to count. */
export type CountStep =
  | { readonly type: 'counted'; readonly oldValue: bigint; readonly newValue: bigint }
  /** The counter was found elsewhere and is followed from there. */
  | { readonly type: 'adopted'; readonly oldValue: bigint; readonly newValue: bigint }
  | { readonly type: 'failed'; readonly error: AtomicError };

/** The counter is not where the answers so far allow it to be. */
export class CounterBroken extends Error {
  override readonly name = 'CounterBroken';
}

/**
 * Counts one id up by compare-exchange and checks that nobody else's hand, and no lost or repeated
 * write, shows in it (braft atomic_client's worker). A write whose outcome is unknown may turn out
 * to have happened: then, and only then, the counter may be one ahead.
 */
export class Counter {
  readonly id: bigint;
  readonly #client: AtomicClient;
  #value = 0n;
  #startValue: bigint | undefined;
  #successes = 0;
  #unknown = 0;
  #maybeAhead = false;

  constructor(client: AtomicClient, id: bigint) {
    this.#client = client;
    this.id = id;
  }

  get totals() {
    return {
      id: this.id,
      startValue: this.#startValue ?? 0n,
      value: this.#value,
      successes: this.#successes,
      unknown: this.#unknown,
    };
  }

  /** One attempt. @throws CounterBroken when the counter is not where it must be. */
  async step(): Promise<CountStep> {
    const expectedValue = this.#value;
    const newValue = expectedValue + 1n;
    try {
      const result = await this.#client.compareExchange(this.id, { expectedValue, newValue });
      const { exchanged, oldValue } = result;
      if (!exchanged) {
        this.#adopt(oldValue);
        return { type: 'adopted', oldValue, newValue: oldValue };
      }
      this.#startValue ??= expectedValue;
      this.#successes += 1;
      this.#value = newValue;
      this.#maybeAhead = false;
      return { type: 'counted', oldValue, newValue };
    } catch (error) {
      if (!(error instanceof AtomicError)) throw error;
      if (error.outcome === 'unknown') {
        this.#unknown += 1;
        this.#maybeAhead = true;
      }
      return { type: 'failed', error };
    }
  }

  #adopt(found: bigint): void {
    const ahead = this.#maybeAhead && found === this.#value + 1n;
    const first = this.#startValue === undefined && this.#value === 0n;
    if (!ahead && !first) {
      const why = this.#maybeAhead ? `${this.#value} or ${this.#value + 1n}` : `${this.#value}`;
      throw new CounterBroken(
        `counter ${this.id} holds ${found}, but must hold ${why}: an acknowledged write was lost or repeated, or another client counts the same id`,
      );
    }
    this.#startValue ??= found;
    this.#value = found;
    this.#maybeAhead = false;
  }
}

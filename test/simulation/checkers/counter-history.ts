import { check } from './violation.ts';

/** One write as the clients mean it. */
export type Write =
  | { readonly type: 'exchange'; readonly id: bigint; readonly value: bigint }
  | {
      readonly type: 'compareExchange';
      readonly id: bigint;
      readonly expected: bigint;
      readonly value: bigint;
    };

export type WriteResult = { readonly exchanged: boolean; readonly oldValue: bigint };

type Version = { readonly from: number; readonly value: bigint };

const RULE = 'linearizability';

/**
 * The counters as they must be: a model of its own replays the committed order, and every answer
 * must be what the model says at one index between the call and its return (Herlihy and Wing).
 * Stronger than searching for some order that would explain the answers.
 */
export class CounterHistory {
  readonly #versions = new Map<bigint, Version[]>();
  readonly #results = new Map<number, { readonly write: Write; readonly result: WriteResult }>();
  /** Values whose writers were told that nothing happened. */
  readonly #refused = new Set<bigint>();
  readonly #written = new Set<bigint>();
  #lastIndex = 0;

  /** The next committed write. */
  committed(index: number, write: Write): void {
    check(index > this.#lastIndex, RULE, () => `replayed ${index} after ${this.#lastIndex}`);
    this.#lastIndex = index;
    check(
      !this.#refused.has(write.value),
      'definite failures',
      () => `the write of ${write.value} was refused as not proposed, and is committed at ${index}`,
    );
    this.#written.add(write.value);
    const oldValue = this.#valueNow(write.id);
    const exchanged = write.type === 'exchange' || oldValue === write.expected;
    this.#results.set(index, { write, result: { exchanged, oldValue } });
    if (!exchanged) return;
    const versions = this.#versions.get(write.id);
    if (versions === undefined) this.#versions.set(write.id, [{ from: index, value: write.value }]);
    else versions.push({ from: index, value: write.value });
  }

  /** A client was told that its write of the unique `value` certainly did not happen. */
  refusedWrite(value: bigint): void {
    check(
      !this.#written.has(value),
      'definite failures',
      () => `the write of ${value} was refused as not proposed, and was committed before`,
    );
    this.#refused.add(value);
  }

  /** A client got `result` for `write`, which took effect at `index`. */
  answeredWrite(
    write: Write,
    result: WriteResult,
    span: { readonly index: number; readonly calledAfter: number; readonly returnedAt: number },
  ): void {
    const { index, calledAfter, returnedAt } = span;
    check(
      index > calledAfter && index <= returnedAt,
      RULE,
      () => `a write between ${calledAfter} and ${returnedAt} took effect at ${index}`,
    );
    const replayed = this.#results.get(index);
    check(
      replayed !== undefined && sameWrite(replayed.write, write),
      RULE,
      () => `a client's write was answered as if it were at ${index}, where another one is`,
    );
    check(
      replayed.result.exchanged === result.exchanged &&
        replayed.result.oldValue === result.oldValue,
      RULE,
      () =>
        `the write at ${index} found ${replayed.result.oldValue}, and its client was told ` +
        `${result.oldValue} (${result.exchanged ? 'exchanged' : 'not exchanged'})`,
    );
  }

  /** A client read `value`, sometime after `calledAfter` was committed and up to `returnedAt`. */
  answeredRead(
    id: bigint,
    value: bigint,
    span: { readonly calledAfter: number; readonly returnedAt: number },
  ): void {
    const { calledAfter, returnedAt } = span;
    const versions = this.#versions.get(id) ?? [];
    let until = Number.POSITIVE_INFINITY;
    for (let i = versions.length - 1; i >= -1; i--) {
      const version = versions[i] ?? { from: 0, value: 0n };
      if (until <= calledAfter) break;
      if (version.from <= returnedAt && version.value === value) return;
      until = version.from;
    }
    check(
      false,
      'read safety',
      () => `a read of ${id} between ${calledAfter} and ${returnedAt} returned ${value}`,
    );
  }

  #valueNow(id: bigint): bigint {
    return this.#versions.get(id)?.at(-1)?.value ?? 0n;
  }
}

function sameWrite(a: Write, b: Write): boolean {
  if (a.id !== b.id || a.value !== b.value) return false;
  if (a.type === 'exchange') return b.type === 'exchange';
  return b.type === 'compareExchange' && a.expected === b.expected;
}

import { DONE, type AnswerColumns } from './answers.ts';
import { COMPARE_EXCHANGE, EXCHANGE } from './command.ts';
import { INT64_BYTES } from './int64.ts';
import type { AtomicServiceCore } from './service-core.ts';
import type { Failure } from './service-failure.ts';
import type { ReadConsistency } from './service-reads.ts';
import type { WriteId } from './write-id.ts';

/** What a single operation came to. */
export type UnaryResult =
  | { readonly ok: true; readonly done: boolean; readonly oldValue: bigint }
  | { readonly ok: false; readonly failure: Failure };

/** When the caller stops waiting and how fresh a read must be. */
export type CallOptions = { readonly deadline: number; readonly writeId?: WriteId | undefined };

/** Single operations over the batching core: a batch of one each. */
export class UnaryOperations {
  readonly #core: AtomicServiceCore;

  constructor(core: AtomicServiceCore) {
    this.#core = core;
  }

  get(
    id: bigint,
    options: CallOptions & { readonly consistency: ReadConsistency },
  ): Promise<UnaryResult> {
    const { deadline, consistency } = options;
    return new Promise((resolve) => {
      this.#core.read({ ids: column(id), consistency, deadline, ...callbacks(resolve) });
    });
  }

  exchange(id: bigint, value: bigint, options: CallOptions): Promise<UnaryResult> {
    return this.#write({ kind: EXCHANGE, id, expectedValue: 0n, newValue: value }, options);
  }

  compareExchange(
    request: { readonly id: bigint; readonly expectedValue: bigint; readonly newValue: bigint },
    options: CallOptions,
  ): Promise<UnaryResult> {
    return this.#write({ kind: COMPARE_EXCHANGE, ...request }, options);
  }

  #write(
    write: {
      readonly kind: number;
      readonly id: bigint;
      readonly expectedValue: bigint;
      readonly newValue: bigint;
    },
    { deadline, writeId }: CallOptions,
  ): Promise<UnaryResult> {
    const columns = {
      kinds: Uint8Array.of(write.kind),
      ids: column(write.id),
      expectedValues: column(write.expectedValue),
      newValues: column(write.newValue),
      writeId,
    };
    return new Promise((resolve) => {
      this.#core.write({ columns, deadline, ...callbacks(resolve) });
    });
  }
}

function callbacks(resolve: (result: UnaryResult) => void): {
  readonly answered: (answers: AnswerColumns) => void;
  readonly failed: (failure: Failure) => void;
} {
  return {
    answered: ({ statuses, oldValues }) => {
      const view = new DataView(oldValues.buffer, oldValues.byteOffset, oldValues.byteLength);
      resolve({ ok: true, done: statuses[0] === DONE, oldValue: view.getBigInt64(0, true) });
    },
    failed: (failure) => {
      resolve({ ok: false, failure });
    },
  };
}

function column(value: bigint): Uint8Array {
  const bytes = new Uint8Array(INT64_BYTES);
  new DataView(bytes.buffer).setBigInt64(0, value, true);
  return bytes;
}

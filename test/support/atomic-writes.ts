import type { WriteColumns } from '../../server/atomic/command.ts';

/** `['exchange', id, new]` or `['cas', id, expected, new]`. */
export type Write = readonly [kind: 'exchange' | 'cas', id: bigint, first: bigint, second?: bigint];

/** Writes as columns; a compare-exchange without a second value expects and stores the first. */
export function writes(operations: readonly Write[]): WriteColumns {
  return {
    kinds: Uint8Array.from(operations, ([kind]) => (kind === 'exchange' ? 2 : 3)),
    ids: int64Column(operations.map(([, id]) => id)),
    expectedValues: int64Column(
      operations.map(([kind, , first]) => (kind === 'exchange' ? 0n : first)),
    ),
    newValues: int64Column(operations.map(([, , first, second]) => second ?? first)),
  };
}

export function int64Column(values: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of values.entries()) view.setBigInt64(at * 8, value, true);
  return bytes;
}

export function int64Values(column: Uint8Array): bigint[] {
  const view = new DataView(column.buffer, column.byteOffset, column.byteLength);
  return Array.from({ length: column.length / 8 }, (_, at) => view.getBigInt64(at * 8, true));
}

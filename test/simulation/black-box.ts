import type { HistoryCall, HistoryOperation, HistoryResult } from '../../client/history.ts';
import { judge, operationText } from '../../client/verdict.ts';
import { check } from './checkers/violation.ts';
import type { CallOutcome, CounterRequest } from './counter-service.ts';
import type { ClientRecord } from './simulated-client.ts';

/**
 * What the clients saw, judged as a real load is: linearizability per register, with no knowledge
 * of the log. It would also find what all the other checkers overlook together.
 */
export class BlackBox {
  readonly #operations: HistoryOperation[] = [];

  record({ client, request, calledAtMs, returnedAtMs, outcome }: ClientRecord): void {
    const { key, call } = callOf(request);
    const times = { invokedAt: calledAtMs, returnedAt: returnedAtMs };
    this.#operations.push({ process: client, key, call, ...times, result: resultOf(outcome) });
  }

  /** Throws a Violation when no order of the operations explains the answers. */
  check(): void {
    const [violation] = judge({
      initialValues: new Map(),
      operations: this.#operations,
    }).violations;
    check(violation === undefined, 'linearizability', () =>
      [violation?.reason, ...(violation?.operations ?? []).map(operationText)].join('\n  '),
    );
  }
}

function callOf(request: CounterRequest): { readonly key: bigint; readonly call: HistoryCall } {
  if (request.type === 'read') return { key: request.id, call: { kind: 'get' } };
  const { write } = request;
  const { id: key, value: newValue } = write;
  if (write.type === 'exchange') return { key, call: { kind: 'exchange', newValue } };
  return { key, call: { kind: 'compareExchange', expectedValue: write.expected, newValue } };
}

function resultOf(outcome: CallOutcome): HistoryResult {
  switch (outcome.type) {
    case 'written':
      return { outcome: 'ok', ...outcome.result };
    case 'read':
      return { outcome: 'ok', oldValue: outcome.value, exchanged: true };
    case 'refused':
      return { outcome: 'failed' };
    case 'unknown':
    case 'noAnswer':
      return { outcome: 'ambiguous' };
  }
}

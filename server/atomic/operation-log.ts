import type { Logger } from '../raft/index.ts';
import { DONE, type Answers } from './answers.ts';
import { EXCHANGE, type Command, type Section } from './command.ts';
import { INT64_BYTES } from './int64.ts';
import type { SingleResult } from './single-operation.ts';

type Applied = SingleResult & {
  readonly name: 'get' | 'exchange' | 'cas';
  readonly id: bigint;
  readonly index: number;
};

/** Logs an operation of braft's shape after it was applied. */
export function logSingle(
  logger: Logger,
  applied: {
    readonly command: Extract<Command, { type: 'get' | 'exchange' | 'compareExchange' }>;
    readonly index: number;
    readonly result: SingleResult;
  },
): void {
  const { command, index, result } = applied;
  const name = command.type === 'compareExchange' ? 'cas' : command.type;
  logger.info(lineOf({ ...result, name, id: command.id, index }));
}

/** Logs the operations of a batch after it was applied, a line for each. */
export function logBatch(
  logger: Logger,
  applied: {
    readonly sections: readonly Section[];
    readonly index: number;
    readonly answers: Answers;
  },
): void {
  const { sections, index, answers } = applied;
  const { oldValues, statuses } = answers;
  const old = new DataView(oldValues.buffer, oldValues.byteOffset, oldValues.byteLength);
  let answer = 0;
  for (const [number, section] of sections.entries()) {
    const { view, count, kindsAt, idsAt, newAt } = section;
    for (let at = 0; at < count; at++, answer++) {
      if (answers.isExpired(number)) continue;
      const success = statuses[answer] === DONE;
      const oldValue = old.getBigInt64(answer * INT64_BYTES, true);
      const line = lineOf({
        name: view.getUint8(kindsAt + at) === EXCHANGE ? 'exchange' : 'cas',
        id: view.getBigInt64(idsAt + at * INT64_BYTES, true),
        index,
        success,
        oldValue,
        newValue: success ? view.getBigInt64(newAt + at * INT64_BYTES, true) : oldValue,
      });
      logger.info(line);
    }
  }
}

/** The line that braft's example writes under the same flag. */
function lineOf({ name, id, index, success, oldValue, newValue }: Applied): string {
  return (
    `Handled operation ${name} on id=${id} at log_index=${index} success=${Number(success)} ` +
    `old_value=${oldValue} new_value=${newValue}`
  );
}

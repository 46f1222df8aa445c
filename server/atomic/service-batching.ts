import type { Clock } from '../raft/index.ts';
import type { AnswerColumns } from './answers.ts';
import type { Admission } from './service-admission.ts';
import type { DeadlineSweep } from './service-deadlines.ts';
import type { Failure } from './service-failure.ts';
import type { ServiceNode } from './service-node.ts';
import type { AtomicStateMachine } from './state-machine.ts';

/** What one caller asked for in one batch. Exactly one of the two calls follows, once. */
export type BatchRequest = {
  /** In the clock's milliseconds. */
  readonly deadline: number;
  readonly answered: (answers: AnswerColumns) => void;
  readonly failed: (failure: Failure) => void;
};

/** What the batching of reads and of writes stands on. */
export type BatcherPorts = {
  readonly node: ServiceNode;
  readonly stateMachine: AtomicStateMachine;
  readonly clock: Clock;
  readonly admission: Admission;
  readonly deadlines: DeadlineSweep;
  readonly leader: () => string | undefined;
  readonly onLatency?: (durationMs: number, operations: number) => void;
};

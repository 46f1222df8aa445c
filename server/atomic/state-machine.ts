import type { RaftError } from '../raft/index.ts';
import {
  silentLogger,
  systemClock,
  type ApplyIterator,
  type Clock,
  type Logger,
  type NodeError,
  type SnapshotReader,
  type SnapshotWriter,
  type StateMachine,
  type Term,
} from '../raft/index.ts';
import { Answers } from './answers.ts';
import { AtomicState } from './atomic-state.ts';
import { CheckpointLog } from './checkpoint-log.ts';
import { CommandError, decodeCommand, type Command } from './command.ts';
import type { FrozenCounters } from './counter-map.ts';
import { logBatch, logSingle } from './operation-log.ts';
import type { Proposal } from './proposal.ts';
import { applySingle } from './single-operation.ts';
import { readSnapshotFiles, writeSnapshotFile } from './snapshot-files.ts';
import { freezeState } from './snapshot-save.ts';
import { TurnBudget } from './turn-budget.ts';

export type AtomicStateMachineOptions = {
  /** Counters to make room for at the start; no limit. */
  readonly mapCapacity?: number;
  /** Logs every applied operation. */
  readonly logAppliedTask?: boolean;
  readonly logger?: Logger;
  readonly clock?: Clock;
};

/** The replicated counters of one group on one member. */
export class AtomicStateMachine implements StateMachine<Proposal> {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #logAppliedTask: boolean;
  readonly #checkpoints = new CheckpointLog();
  #state: AtomicState;
  #leaderTerm: Term | undefined;
  #failure: RaftError | undefined;
  #appliedOperations = 0;
  #appliedIndex = 0;
  /** Index of the last entry that changed or could have changed the counters or sessions. */
  #lastWriteIndex = 0;

  constructor(options: AtomicStateMachineOptions = {}) {
    this.#state = new AtomicState(options.mapCapacity ?? 0);
    this.#logger = options.logger ?? silentLogger;
    this.#clock = options.clock ?? systemClock;
    this.#logAppliedTask = options.logAppliedTask ?? false;
  }

  /** The counters and sessions; another object after a snapshot was loaded. */
  get state(): AtomicState {
    return this.#state;
  }

  /** The term that this node leads and may propose in, as far as applied (braft leader_term). */
  get leaderTerm(): Term | undefined {
    return this.#leaderTerm;
  }

  /** Why the node stopped working, if it did. */
  get failure(): RaftError | undefined {
    return this.#failure;
  }

  /** Operations applied since the start of the process. */
  get appliedOperations(): number {
    return this.#appliedOperations;
  }

  /** Index of the last entry or snapshot seen here. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get checkpoints(): CheckpointLog {
    return this.#checkpoints;
  }

  /** Whether something was written since the last verdict on the state's hash. */
  get changedSinceVerdict(): boolean {
    return this.#lastWriteIndex > this.#checkpoints.lastVerdictIndex;
  }

  onApply(iterator: ApplyIterator<Proposal>): void {
    while (iterator.valid()) {
      const problem = this.#apply(iterator);
      if (problem !== undefined) {
        iterator.setErrorAndRollback(1, problem);
        return;
      }
      iterator.next();
    }
  }

  /** Freezes the state before it first awaits; writes it while entries are applied. */
  async onSnapshotSave(writer: SnapshotWriter): Promise<void> {
    const frozen = freezeState(this.#state);
    try {
      await writeSnapshotFile(writer, frozen, new TurnBudget(this.#clock));
    } finally {
      frozen.counters.release();
    }
  }

  async onSnapshotLoad(reader: SnapshotReader): Promise<void> {
    this.#state = await readSnapshotFiles(reader, new TurnBudget(this.#clock));
    this.#appliedIndex = reader.meta.lastIncluded.index;
    this.#lastWriteIndex = this.#appliedIndex;
    this.#checkpoints.clear();
  }

  onLeaderStart(term: Term): void {
    this.#leaderTerm = term;
    this.#logger.info('Node becomes leader', { term });
  }

  onLeaderStop(reason: RaftError): void {
    this.#leaderTerm = undefined;
    this.#logger.info(`Node stepped down : ${reason.message}`);
  }

  onError({ type, error }: NodeError): void {
    this.#failure = error;
    this.#leaderTerm = undefined;
    this.#logger.error(`Met error in ${type}: ${error.message}`, { code: error.code });
  }

  onShutdown(): void {
    this.#leaderTerm = undefined;
  }

  /** The counters as of now, to export them; release them after use. */
  freezeCounters(): FrozenCounters {
    return this.#state.counters.freeze();
  }

  /** What is wrong with the entry, if it cannot be applied. Nothing of it is applied then. */
  #apply(iterator: ApplyIterator<Proposal>): string | undefined {
    const index = iterator.index();
    let command: Command;
    try {
      command = decodeCommand(iterator.data());
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      return `the entry at index ${index} cannot be applied: ${error.message}`;
    }
    const proposal = iterator.context();
    const problem = this.#execute(command, index, proposal);
    if (problem !== undefined) return problem;
    if (proposal !== undefined) proposal.applied = true;
    this.#appliedIndex = index;
    return undefined;
  }

  #execute(command: Command, index: number, proposal: Proposal | undefined): string | undefined {
    switch (command.type) {
      case 'batch':
        this.#applyBatch(command, index, proposal?.answers);
        return undefined;
      case 'registerSession':
        this.#lastWriteIndex = index;
        this.#state.sessions.register(index, command.limits);
        return undefined;
      case 'checkpoint':
        this.#checkpoints.note(index, this.#state.hash());
        return undefined;
      case 'verdict':
        return this.#checkpoints.judge({ ...command, verdictIndex: index });
      case 'get':
      case 'exchange':
      case 'compareExchange': {
        if (command.type !== 'get') this.#lastWriteIndex = index;
        const result = applySingle(this.#state.counters, command);
        this.#appliedOperations++;
        if (this.#logAppliedTask) logSingle(this.#logger, { command, index, result });
        return undefined;
      }
    }
  }

  #applyBatch(
    { sections }: Extract<Command, { type: 'batch' }>,
    index: number,
    wanted: Answers | undefined,
  ): void {
    let operations = 0;
    for (const { count } of sections) operations += count;
    const answers = wanted ?? new Answers(operations);
    this.#state.applyBatch(sections, index, answers);
    this.#lastWriteIndex = index;
    this.#appliedOperations += operations;
    if (this.#logAppliedTask) logBatch(this.#logger, { sections, index, answers });
  }
}

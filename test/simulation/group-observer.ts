import { checkState } from '../../server/raft/core/invariants.ts';
import type { Effect } from '../../server/raft/core/effect.ts';
import type { LogEntry } from '../../server/raft/core/entry.ts';
import type { Configuration, IndexedConfiguration } from '../../server/raft/core/membership.ts';
import { peersText } from '../../server/raft/core/peer-id.ts';
import { LogIndex, type PeerId } from '../../server/raft/core/ids.ts';
import type { RaftState } from '../../server/raft/core/state.ts';
import type { AddressedMessage } from '../../server/raft/transport/transport.ts';
import { CommittedLog, type Committer, type DiskLookup } from './checkers/committed-log.ts';
import { ConfigurationRules } from './checkers/configuration-rules.ts';
import { CounterHistory, type Write } from './checkers/counter-history.ts';
import { ElectionSafety } from './checkers/election-safety.ts';
import { LogMatching } from './checkers/log-matching.ts';
import { StateMachineSafety } from './checkers/state-machine-safety.ts';
import { check } from './checkers/violation.ts';

type Persist = Extract<Effect, { readonly type: 'persist' }>;

/** What of a core's state is compared before and after a step. */
export type BeforeStep = {
  readonly wasLeader: boolean;
  readonly commitIndex: number;
  readonly term: number;
  readonly configuration: IndexedConfiguration;
};

/** Sees every step and every message of the group and has each checker look at its part. */
export class GroupObserver {
  readonly elections = new ElectionSafety();
  readonly logs = new LogMatching();
  readonly counters = new CounterHistory();
  readonly configurations: ConfigurationRules;
  readonly committed: CommittedLog;
  readonly machines: StateMachineSafety;
  readonly #diskOf: DiskLookup;
  #failure: Error | undefined;
  readonly #onFailure: () => void;

  constructor(options: {
    readonly initialVoters: ReadonlySet<PeerId>;
    readonly diskOf: DiskLookup;
    readonly writesIn: (data: Uint8Array) => readonly Write[];
    /** Called at the first violation. */
    readonly onFailure: () => void;
  }) {
    this.#diskOf = options.diskOf;
    this.#onFailure = options.onFailure;
    this.configurations = new ConfigurationRules({
      voters: options.initialVoters,
      learners: new Set(),
      incarnations: new Map(),
    });
    this.committed = new CommittedLog({
      written: this.logs,
      diskOf: options.diskOf,
      onCommitted: (entry) => {
        this.#entryCommitted(entry, options.writesIn);
      },
    });
    this.machines = new StateMachineSafety(this.committed);
  }

  /** The first violation, when there was one. */
  failure(): Error | undefined {
    return this.#failure;
  }

  /** Ends the simulation with `error`; only the first counts. */
  fail(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    this.#onFailure();
  }

  /**
   * Runs a check. A violation ends the simulation and goes on to the caller, though the code under
   * test may well catch it.
   */
  judge<T>(body: () => T): T {
    try {
      return body();
    } catch (error) {
      this.fail(error);
      throw error;
    }
  }

  messageSent(from: PeerId, { message }: AddressedMessage): void {
    this.judge(() => {
      this.elections.messageSent(message);
      this.#diskOf(from)?.messageSent(message);
    });
  }

  beforeStep(state: RaftState): BeforeStep {
    return {
      wasLeader: state.role.type === 'leader',
      commitIndex: state.commitIndex,
      term: state.hardState.term,
      configuration: state.configurations.latest(),
    };
  }

  stepped(state: RaftState, before: BeforeStep, effects: readonly Effect[]): void {
    this.judge(() => {
      checkState(state);
      check(
        state.commitIndex >= before.commitIndex && state.hardState.term >= before.term,
        'monotonicity',
        () => `${state.options.id} lowered its commit index or its term`,
      );
      for (const effect of effects) this.#look(state, before, effect);
    });
  }

  #look(state: RaftState, before: BeforeStep, effect: Effect): void {
    if (effect.type === 'persist') this.#persisting(state, before, effect);
    else if (effect.type === 'commit') {
      // One that commits its own removal has stepped down by the end of the step.
      const isLeader = before.wasLeader || state.role.type === 'leader';
      this.committed.committed({ ...committerOf(state), isLeader }, effect.index);
    } else if (effect.type === 'roleChanged' && effect.role === 'leader') {
      if (effect.previousRole === 'transferring') return;
      this.elections.leads(state.options.id, effect.term);
      this.committed.leaderElected(committerOf(state));
    }
  }

  #persisting(state: RaftState, before: BeforeStep, { write }: Persist): void {
    const peer = state.options.id;
    const isLeader = state.role.type === 'leader';
    const { truncateFrom, entries } = write;
    check(
      truncateFrom === undefined || !(before.wasLeader && isLeader),
      'leader append-only',
      () => `${peer} cuts its log at ${String(truncateFrom)} while it leads`,
    );
    check(
      truncateFrom === undefined || truncateFrom > before.commitIndex,
      'state machine safety',
      () => `${peer} cuts at ${String(truncateFrom)}, committed up to ${before.commitIndex}`,
    );
    let previousTerm = previousTermOf(state, entries[0]);
    for (const entry of entries) {
      this.logs.entryWritten(peer, entry, previousTerm);
      previousTerm = entry.id.term;
      if (isLeader && entry.kind === 'configuration') checkChange(state, before, entry);
    }
  }

  #entryCommitted(entry: LogEntry, writesIn: (data: Uint8Array) => readonly Write[]): void {
    this.configurations.committed(entry);
    if (entry.kind !== 'data') return;
    for (const write of writesIn(entry.data)) this.counters.committed(entry.id.index, write);
  }
}

function committerOf(state: RaftState): Committer {
  return {
    peer: state.options.id,
    isLeader: state.role.type === 'leader',
    term: state.hardState.term,
    configuration: state.configurations.latest().configuration,
    log: state.log,
  };
}

function previousTermOf(state: RaftState, first: LogEntry | undefined): number {
  if (first === undefined) return 0;
  return state.log.termAt(LogIndex(first.id.index - 1)) ?? 0;
}

/** One change at a time, and none before the leader committed something of its own (§6). */
function checkChange(state: RaftState, before: BeforeStep, entry: LogEntry): void {
  const peer = state.options.id;
  const { configuration: old, index: oldIndex } = before.configuration;
  const next = entry.kind === 'configuration' ? entry.configuration.configuration : old;
  // The same voters, by a new leader or bound to disks now known: no quorum changes.
  if (votersText(old) === votersText(next)) return;
  check(
    oldIndex <= state.commitIndex,
    'configuration',
    () =>
      `${peer} writes a configuration at ${entry.id.index} while the one at ` +
      `${oldIndex} is not committed`,
  );
  check(
    state.log.termAt(state.commitIndex) === state.hardState.term || isFirstOfTerm(state, entry),
    'configuration',
    () => `${peer} changes the configuration at ${entry.id.index} before an entry of its own term`,
  );
}

function votersText({ voters, outgoing = new Set() }: Configuration): string {
  return `${peersText(voters)}; ${peersText(outgoing)}`;
}

/** A leader may open its term with a configuration in place of an empty entry (braft). */
function isFirstOfTerm(state: RaftState, entry: LogEntry): boolean {
  return state.log.termAt(LogIndex(entry.id.index - 1)) !== entry.id.term;
}

import { step } from '../../server/raft/core/step.ts';
import { quorumValue } from '../../server/raft/core/quorum.ts';
import { configurationOfState, matchIndexOf } from '../../server/raft/core/state.ts';
import { LogIndex } from '../../server/raft/core/ids.ts';
import type { Settings } from './settings.ts';
import type { Effect } from '../../server/raft/core/effect.ts';

/** The product with a bug in it, as the simulation runs it. */
export type Mutant = {
  readonly name: string;
  readonly step?: typeof step;
  /** How its world differs from that of the others. */
  readonly settings?: Partial<Settings>;
};

/** Much that can depose a leader behind its back, one register, no leases. */
export const MUTANT_SETTINGS: Partial<Settings> = {
  servers: 5,
  spares: 0,
  clients: 10,
  thinkMs: 100,
  registers: 1,
  leaderLease: false,
  clockDriftMaxMs: 0,
  clockRateError: 0.05,
  faultKinds: new Set(['kill', 'pause', 'partition', 'oneWayCut', 'loss', 'latency']),
  faultIntervalMs: 1_000,
};

/** Bugs that the simulation must find. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'votes twice in a term',
    step: (state, event) => {
      if (event.type === 'message' && event.message.type === 'voteRequest') {
        const { votedFor, term } = state.hardState;
        const rival = votedFor !== undefined && votedFor !== state.options.id;
        if (rival && term === event.message.term && !event.message.preVote) {
          state.hardState = { ...state.hardState, votedFor: undefined };
        }
      }
      return step(state, event);
    },
  },
  {
    name: 'acknowledges before its disk has the entries',
    step: (state, event) => step(state, event).flatMap(sendAtOnce),
  },
  {
    name: 'commits entries of older terms by counting',
    step: (state, event) => {
      const effects = step(state, event);
      const { role: leader } = state;
      if (leader.type !== 'leader') return effects;
      const held = quorumValue(configurationOfState(state), (peer) =>
        matchIndexOf(state, leader, peer),
      );
      if (held <= state.commitIndex) return effects;
      state.commitIndex = LogIndex(held);
      return [...effects, { type: 'commit', index: state.commitIndex }];
    },
  },
  {
    name: 'answers reads without a round',
    step: (state, event) => {
      if (event.type !== 'read' || state.role.type !== 'leader') return step(state, event);
      const index = LogIndex(state.commitIndex);
      return [{ type: 'readReady', ticket: event.ticket, index, byLease: false }];
    },
  },
  {
    name: 'does not check its log records',
    settings: {
      forgedChecksums: true,
      faultKinds: new Set(['damage', 'kill', 'partition']),
      // Many closed segments, whose records stay to be read again.
      segmentBytesMax: 1_024,
      snapshotLogBytes: 0,
      snapshotIntervalMs: 0,
    },
  },
];

function sendAtOnce(effect: Effect): Effect[] {
  if (effect.type !== 'persist') return [effect];
  const early = effect.thenSend.map((message): Effect => ({ type: 'send', message }));
  return [...early, { ...effect, thenSend: [] }];
}

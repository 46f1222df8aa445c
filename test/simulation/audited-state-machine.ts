import type { PeerId } from '../../server/raft/core/ids.ts';
import type {
  ApplyIterator,
  NodeError,
  StateMachine,
} from '../../server/raft/node/state-machine.ts';
import { CallbackOrder } from './checkers/callback-order.ts';
import type { GroupObserver } from './group-observer.ts';

type Watch = {
  readonly peer: PeerId;
  readonly observer: GroupObserver;
  /** A hash of everything the state machine holds. */
  readonly stateHash: () => string;
  readonly onError: (error: NodeError) => void;
};

/** The same state machine, with every call checked: what is applied, in which order. */
export function auditedStateMachine<Context>(
  inner: StateMachine<Context>,
  watch: Watch,
): StateMachine<Context> & { readonly order: CallbackOrder } {
  const { peer, observer } = watch;
  const order = new CallbackOrder(peer);
  const judge = (body: () => void): void => {
    observer.judge(body);
  };
  return {
    order,
    onApply: (iterator) => {
      inner.onApply(auditedIterator(iterator, { peer, observer, order }));
      judge(() => {
        observer.machines.stateReached(peer, order.appliedIndex(), watch.stateHash());
      });
    },
    onSnapshotSave: async (writer) => {
      await inner.onSnapshotSave?.(writer);
    },
    onSnapshotLoad: async (reader) => {
      judge(() => {
        order.snapshotLoaded(reader.meta.lastIncluded.index);
      });
      await inner.onSnapshotLoad?.(reader);
      judge(() => {
        const index = observer.committed.lastDataIndexUpTo(reader.meta.lastIncluded.index);
        observer.machines.stateReached(peer, index, watch.stateHash());
      });
    },
    onLeaderStart: (term) => {
      judge(() => {
        order.leaderStarted(term, firstUnapplied(observer, order.appliedIndex(), term));
      });
      inner.onLeaderStart?.(term);
    },
    onLeaderStop: (reason) => {
      judge(() => {
        order.leaderStopped();
      });
      inner.onLeaderStop?.(reason);
    },
    onConfigurationCommitted: (configuration, index) => {
      inner.onConfigurationCommitted?.(configuration, index);
    },
    onStartFollowing: (context) => inner.onStartFollowing?.(context),
    onStopFollowing: (context) => inner.onStopFollowing?.(context),
    onError: (error) => {
      judge(() => {
        order.failed();
      });
      inner.onError?.(error);
      watch.onError(error);
    },
    onShutdown: () => {
      judge(() => {
        order.shutDown();
      });
      inner.onShutdown?.();
    },
  };
}

/** The first data entry of an older term that is committed and not applied. */
function firstUnapplied(
  observer: GroupObserver,
  appliedIndex: number,
  term: number,
): number | undefined {
  for (let index = appliedIndex + 1; index <= observer.committed.lastIndex(); index++) {
    const entry = observer.committed.at(index)?.entry;
    if (entry === undefined || entry.id.term >= term) return undefined;
    if (entry.kind === 'data') return index;
  }
  return undefined;
}

function auditedIterator<Context>(
  inner: ApplyIterator<Context>,
  watch: Pick<Watch, 'peer' | 'observer'> & { readonly order: CallbackOrder },
): ApplyIterator<Context> {
  const { peer, observer, order } = watch;
  return {
    valid: () => inner.valid(),
    next: () => {
      if (inner.valid()) {
        observer.judge(() => {
          const index = inner.index();
          const previousIndex = order.appliedIndex();
          observer.machines.applied(peer, { index, previousIndex, data: inner.data() });
          order.applied(index);
        });
      }
      inner.next();
    },
    index: () => inner.index(),
    term: () => inner.term(),
    data: () => inner.data(),
    context: () => inner.context(),
    setErrorAndRollback: (entries, reason) => {
      inner.setErrorAndRollback(entries, reason);
    },
  };
}

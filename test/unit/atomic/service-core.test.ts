import { status } from '@grpc/grpc-js';
import { describe, expect, it } from '@jest/globals';
import type { AnswerColumns } from '../../../server/atomic/answers.ts';
import type { WriteColumns } from '../../../server/atomic/command.ts';
import { AtomicServiceCore } from '../../../server/atomic/service-core.ts';
import type { Failure } from '../../../server/atomic/service-failure.ts';
import type { ServiceLimits } from '../../../server/atomic/service-admission.ts';
import { AtomicStateMachine } from '../../../server/atomic/state-machine.ts';
import { RaftError } from '../../../server/raft/index.ts';
import { FakeAtomicNode, OTHER, SteerableClock } from '../../support/atomic-node.ts';
import { int64Column, int64Values, writes, type Write } from '../../support/atomic-writes.ts';

type Outcome = { readonly old: bigint[] } | Failure;

class Rig {
  readonly machine = new AtomicStateMachine();
  readonly node = new FakeAtomicNode(this.machine);
  readonly clock = new SteerableClock();
  readonly core: AtomicServiceCore;

  constructor(limits: Partial<ServiceLimits> = {}) {
    const { machine: stateMachine, node, clock } = this;
    this.core = new AtomicServiceCore({ node, stateMachine, clock, limits });
  }

  write(columns: WriteColumns, timeoutMs = 10_000): Promise<Outcome> {
    const deadline = this.clock.now() + timeoutMs;
    return settled((calls) => {
      this.core.write({ columns, deadline, ...calls });
    });
  }

  read(ids: Uint8Array, timeoutMs = 10_000): Promise<Outcome> {
    const deadline = this.clock.now() + timeoutMs;
    return settled((calls) => {
      this.core.read({ ids, consistency: 'linearizable', deadline, ...calls });
    });
  }
}

function settled(
  start: (calls: {
    answered: (answers: AnswerColumns) => void;
    failed: (failure: Failure) => void;
  }) => void,
): Promise<Outcome> {
  return new Promise((resolve) => {
    start({
      answered: ({ oldValues }) => {
        resolve({ old: int64Values(oldValues) });
      },
      failed: resolve,
    });
  });
}

const ONE = writes([['exchange', 1n, 5n]]);
const ID = int64Column([1n]);
const empty = new Uint8Array(0);
const unknownLoss = new RaftError('EPERM', 'lost leadership', { outcome: 'unknown' });

/** Every way to return early: where, what the caller hears, and whether anything was proposed. */
type Row = readonly [
  point: string,
  act: (rig: Rig) => Promise<Outcome>,
  expected: Partial<Failure>,
  proposals?: number,
];
const refusal = (code: status, reason: Failure['reason'], leader?: string): Partial<Failure> => ({
  outcome: 'notProposed',
  status: code,
  reason,
  ...(leader === undefined ? {} : { leader }),
});
const WRITE_ROWS: readonly Row[] = [
  [
    'closed',
    (rig) => {
      rig.core.close();
      return rig.write(ONE);
    },
    refusal(status.UNAVAILABLE, 'ESHUTDOWN'),
  ],
  ['deadline passed', (rig) => rig.write(ONE, 0), refusal(status.DEADLINE_EXCEEDED, 'ETIMEDOUT')],
  [
    'no leader',
    (rig) => {
      rig.node.stepDown(undefined);
      return rig.write(ONE);
    },
    refusal(status.UNAVAILABLE, 'EAGAIN'),
  ],
  [
    'another leader',
    (rig) => {
      rig.node.stepDown(OTHER);
      return rig.write(ONE);
    },
    refusal(status.FAILED_PRECONDITION, 'EPERM', OTHER),
  ],
  [
    'elected, not ready',
    (rig) => {
      rig.node.stepDown(rig.node.peer);
      return rig.write(ONE);
    },
    refusal(status.UNAVAILABLE, 'EAGAIN'),
  ],
  [
    'stepped down within the turn',
    (rig) => {
      const w = rig.write(ONE);
      rig.node.stepDown(OTHER);
      return w;
    },
    refusal(status.FAILED_PRECONDITION, 'EPERM', OTHER),
  ],
  ['empty batch', (rig) => rig.write(writes([])), refusal(status.INVALID_ARGUMENT, 'EINVAL')],
  [
    'a get among writes',
    (rig) => rig.write({ ...ONE, kinds: Uint8Array.of(1) }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'ids too short',
    (rig) => rig.write({ ...ONE, ids: empty }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'expected values missing',
    (rig) => rig.write({ ...ONE, expectedValues: empty }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'new values missing',
    (rig) => rig.write({ ...ONE, newValues: empty }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'serial 0',
    (rig) => rig.write({ ...ONE, writeId: { sessionId: 1, serial: 0, lowestUnanswered: 0 } }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'lowest above serial',
    (rig) => rig.write({ ...ONE, writeId: { sessionId: 1, serial: 1, lowestUnanswered: 2 } }),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'too many operations',
    (rig) => rig.write(writes(Array(5).fill(['exchange', 1n, 1n]) as Write[])),
    refusal(status.INVALID_ARGUMENT, 'EINVAL'),
  ],
  [
    'too much in flight',
    (rig) => {
      rig.node.held = true;
      void rig.write(FOUR);
      void rig.write(FOUR);
      return rig.write(ONE);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'EBUSY'),
  ],
  [
    'too many bytes in flight',
    (rig) => {
      rig.node.held = true;
      for (let held = 0; held < 4; held++) void rig.write(WITH_ID);
      return rig.write(WITH_ID);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'EBUSY'),
  ],
  [
    'map full',
    async (rig) => {
      await rig.write(FOUR);
      await rig.write(writes([['exchange', 9n, 0n]]));
      return rig.write(writes([['exchange', 10n, 0n]]));
    },
    refusal(status.RESOURCE_EXHAUSTED, 'ENOSPC'),
    2,
  ],
  [
    'map full with what is in flight',
    (rig) => {
      rig.node.held = true;
      void rig.write(FOUR);
      return rig.write(
        writes([
          ['exchange', 9n, 0n],
          ['exchange', 10n, 0n],
        ]),
      );
    },
    refusal(status.RESOURCE_EXHAUSTED, 'ENOSPC'),
  ],
  [
    'refused: busy',
    (rig) => {
      rig.node.applyError = new RaftError('EBUSY', 'busy');
      return rig.write(ONE);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'EBUSY'),
  ],
  [
    'refused: disk full',
    (rig) => {
      rig.node.applyError = new RaftError('ENOSPC', 'full');
      return rig.write(ONE);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'ENOSPC'),
  ],
  [
    'refused: transferring',
    (rig) => {
      rig.node.applyError = new RaftError('ETRANSFERLEADERSHIP', 'x');
      return rig.write(ONE);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'ETRANSFERLEADERSHIP'),
  ],
  [
    'refused: read-only',
    (rig) => {
      rig.node.applyError = new RaftError('EREADONLY', 'x');
      return rig.write(ONE);
    },
    refusal(status.FAILED_PRECONDITION, 'EREADONLY'),
  ],
  [
    'refused: not leader',
    (rig) => {
      rig.node.applyError = new RaftError('EPERM', 'x');
      rig.node.leader = OTHER;
      return rig.write(ONE);
    },
    refusal(status.FAILED_PRECONDITION, 'EPERM', OTHER),
  ],
  [
    'refused: no leader',
    (rig) => {
      rig.node.applyError = new RaftError('EPERM', 'x');
      rig.node.leader = undefined;
      return rig.write(ONE);
    },
    refusal(status.UNAVAILABLE, 'EPERM'),
  ],
  [
    'lost leadership',
    (rig) => {
      rig.node.applyError = unknownLoss;
      rig.node.leader = OTHER;
      return rig.write(ONE);
    },
    { outcome: 'unknown', status: status.UNKNOWN, reason: 'EPERM' },
  ],
  [
    'a fault in the node',
    (rig) => {
      rig.node.applyError = new TypeError('x');
      return rig.write(ONE);
    },
    { outcome: 'unknown', status: status.UNKNOWN, reason: 'INTERNAL' },
  ],
  [
    'answer lost',
    (rig) => {
      rig.node.machine.onApply = (entry) => {
        entry.next();
      };
      return rig.write(ONE);
    },
    { outcome: 'unknown', status: status.UNKNOWN, reason: 'EIO' },
    1,
  ],
  [
    'deadline after proposing',
    (rig) => {
      rig.node.held = true;
      const w = rig.write(ONE);
      setImmediate(() => {
        rig.clock.offsetMs = 60_000;
      });
      return w;
    },
    { outcome: 'unknown', status: status.UNKNOWN, reason: 'ETIMEDOUT' },
    1,
  ],
  [
    'session expired',
    (rig) => rig.write({ ...ONE, writeId: { sessionId: 9, serial: 1, lowestUnanswered: 1 } }),
    { outcome: 'notProposed', status: status.FAILED_PRECONDITION, reason: 'SESSION_EXPIRED' },
    1,
  ],
];
const FOUR = writes([1n, 2n, 3n, 4n].map((id): Write => ['exchange', id, 0n]));
const WITH_ID: WriteColumns = { ...ONE, writeId: { sessionId: 1, serial: 1, lowestUnanswered: 1 } };
const LIMITS = {
  batchOperationsMax: 4,
  inFlightOperationsMax: 8,
  inFlightBytesMax: 230,
  mapEntriesMax: 100,
};

describe('early returns of a write', () => {
  it.each(WRITE_ROWS)('%s', async (...row) => {
    const [point, act, expected, proposals = 0] = row;
    const rig = new Rig(point.startsWith('map full') ? { mapEntriesMax: 5 } : LIMITS);
    expect(await act(rig)).toMatchObject(expected);
    expect(rig.node.proposed).toHaveLength(proposals);
    rig.node.release();
  });
});

const READ_ROWS: readonly Row[] = [
  [
    'closed',
    (rig) => {
      rig.core.close();
      return rig.read(ID);
    },
    refusal(status.UNAVAILABLE, 'ESHUTDOWN'),
  ],
  ['deadline passed', (rig) => rig.read(ID, 0), refusal(status.DEADLINE_EXCEEDED, 'ETIMEDOUT')],
  [
    'no leader',
    (rig) => {
      rig.node.stepDown(undefined);
      return rig.read(ID);
    },
    refusal(status.UNAVAILABLE, 'EAGAIN'),
  ],
  [
    'another leader',
    (rig) => {
      rig.node.stepDown(OTHER);
      return rig.read(ID);
    },
    refusal(status.FAILED_PRECONDITION, 'EPERM', OTHER),
  ],
  ['no ids', (rig) => rig.read(empty), refusal(status.INVALID_ARGUMENT, 'EINVAL')],
  ['ids cut off', (rig) => rig.read(ID.subarray(1)), refusal(status.INVALID_ARGUMENT, 'EINVAL')],
  ['too many', (rig) => rig.read(new Uint8Array(40)), refusal(status.INVALID_ARGUMENT, 'EINVAL')],
  [
    'too much in flight',
    (rig) => {
      void rig.read(FOUR.ids);
      void rig.read(FOUR.ids);
      return rig.read(ID);
    },
    refusal(status.RESOURCE_EXHAUSTED, 'EBUSY'),
  ],
  [
    'lost leadership',
    (rig) => {
      rig.node.readError = unknownLoss;
      return rig.read(ID);
    },
    refusal(status.UNAVAILABLE, 'EPERM'),
  ],
  [
    'refused: not leader',
    (rig) => {
      rig.node.readError = new RaftError('EPERM', 'x');
      const r = rig.read(ID);
      rig.node.leader = OTHER;
      return r;
    },
    refusal(status.FAILED_PRECONDITION, 'EPERM', OTHER),
  ],
  [
    'deadline while confirming',
    (rig) => {
      rig.node.held = true;
      const r = rig.read(ID);
      setImmediate(() => {
        rig.clock.offsetMs = 60_000;
      });
      return r;
    },
    refusal(status.DEADLINE_EXCEEDED, 'ETIMEDOUT'),
  ],
];

describe('early returns of a read', () => {
  it.each(READ_ROWS)('%s', async (...row) => {
    const [, act, expected] = row;
    const rig = new Rig(LIMITS);
    expect(await act(rig)).toMatchObject(expected);
    rig.node.release();
  });
});

describe('batching', () => {
  it('puts all writes of one turn into one entry, and answers each caller', async () => {
    const rig = new Rig();
    const outcomes = await Promise.all([
      rig.write(
        writes([
          ['exchange', 1n, 5n],
          ['cas', 1n, 5n, 6n],
        ]),
      ),
      rig.write(writes([['exchange', 1n, 7n]])),
      rig.write(writes([['cas', 1n, 0n, 8n]])),
    ]);
    expect(outcomes).toEqual([{ old: [0n, 5n] }, { old: [6n] }, { old: [7n] }]);
    expect(rig.node.proposed).toHaveLength(1);
    expect(rig.node.proposed[0]?.expectedTerm).toBe(1);
  });

  it('begins another entry at the bound', async () => {
    const rig = new Rig({ entryOperationsMax: 2 });
    await Promise.all([1n, 2n, 3n].map((id) => rig.write(writes([['exchange', id, id]]))));
    expect(rig.node.proposed).toHaveLength(2);
  });

  it('confirms all reads of one turn by one round', async () => {
    const rig = new Rig();
    await rig.write(ONE);
    const outcomes = await Promise.all([rig.read(ID), rig.read(int64Column([2n, 1n]))]);
    expect(outcomes).toEqual([{ old: [5n] }, { old: [0n, 5n] }]);
    expect(rig.node.readRounds).toBe(1);
  });

  it('expires one caller of an entry and serves the others', async () => {
    const rig = new Rig();
    const session = await rig.core.registerSession();
    expect(session).toBe(1);
    const outcomes = await Promise.all([
      rig.write(ONE),
      rig.write({ ...ONE, writeId: { sessionId: 44, serial: 1, lowestUnanswered: 1 } }),
      rig.write({ ...ONE, writeId: { sessionId: 1, serial: 1, lowestUnanswered: 1 } }),
    ]);
    expect(outcomes[0]).toEqual({ old: [0n] });
    expect(outcomes[1]).toMatchObject({ reason: 'SESSION_EXPIRED' });
    expect(outcomes[2]).toEqual({ old: [5n] });
  });

  it('writes to present ids when the map is full', async () => {
    const rig = new Rig({ mapEntriesMax: 1 });
    await rig.write(ONE);
    expect(await rig.write(ONE)).toEqual({ old: [5n] });
  });

  it('frees the room of everything that ended', async () => {
    const rig = new Rig(LIMITS);
    await Promise.all([rig.write(ONE), rig.read(ID)]);
    rig.node.applyError = unknownLoss;
    await rig.write(ONE);
    expect(rig.core.operationsInFlight).toBe(0);
  });

  it('opens no session beyond what may be in flight, and frees the room of each', async () => {
    const rig = new Rig({ inFlightOperationsMax: 2 });
    const answers = await Promise.all([1, 2, 3].map(() => rig.core.registerSession()));
    expect(answers.slice(0, 2)).toEqual([1, 2]);
    expect(answers[2]).toMatchObject({ outcome: 'notProposed', reason: 'EBUSY' });
    expect(rig.core.operationsInFlight).toBe(0);
  });

  it('keeps the room of a write that timed out until its entry is done', async () => {
    const rig = new Rig(LIMITS);
    rig.node.held = true;
    const write = rig.write(ONE);
    setImmediate(() => {
      rig.clock.offsetMs = 60_000;
    });
    expect(await write).toMatchObject({ reason: 'ETIMEDOUT' });
    expect(rig.core.operationsInFlight).toBe(1);
    rig.node.release();
    await rig.read(ID, 100_000);
    expect(rig.core.operationsInFlight).toBe(0);
  });
});

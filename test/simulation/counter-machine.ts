import { AtomicState } from '../../server/atomic/atomic-state.ts';
import { decodeCommand, encodeBraftCommand } from '../../server/atomic/command.ts';
import { applySingle, type SingleResult } from '../../server/atomic/single-operation.ts';
import { loadSnapshot } from '../../server/atomic/snapshot-load.ts';
import { freezeState, snapshotBlocks } from '../../server/atomic/snapshot-save.ts';
import { TurnBudget } from '../../server/atomic/turn-budget.ts';
import type { Clock } from '../../server/raft/node/clock.ts';
import type { ApplyIterator, StateMachine } from '../../server/raft/node/state-machine.ts';
import type { FileSystem } from '../../server/raft/storage/file-system.ts';
import type { SnapshotReader, SnapshotWriter } from '../../server/raft/storage/snapshot-storage.ts';
import type { Write } from './checkers/counter-history.ts';

/** What a proposer attaches to its entry; filled in when the entry is applied. */
export type PendingWrite = { result?: SingleResult };

const FILE = 'counters.bin';
const READ_BYTES = 4_096;

/** The product's counters and commands; only the snapshot files go to the simulated disk. */
export class CounterMachine implements StateMachine<PendingWrite> {
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  #state = new AtomicState();

  constructor(fileSystem: FileSystem, clock: Clock) {
    this.#fileSystem = fileSystem;
    this.#clock = clock;
  }

  value(id: bigint): bigint {
    return this.#state.counters.get(id) ?? 0n;
  }

  stateHash(): string {
    return this.#state.hash().toString(16);
  }

  onApply(iterator: ApplyIterator<PendingWrite>): void {
    while (iterator.valid()) {
      const command = decodeCommand(iterator.data());
      if (command.type !== 'exchange' && command.type !== 'compareExchange') {
        iterator.setErrorAndRollback(1, `an unexpected command: ${command.type}`);
        return;
      }
      const result = applySingle(this.#state.counters, command);
      const pending = iterator.context();
      if (pending !== undefined) pending.result = result;
      iterator.next();
    }
  }

  async onSnapshotSave(writer: SnapshotWriter): Promise<void> {
    const frozen = freezeState(this.#state);
    try {
      const file = await this.#fileSystem.open(`${writer.path}/${FILE}`, 'create');
      let position = 0;
      for await (const block of snapshotBlocks(frozen, new TurnBudget(this.#clock))) {
        file.writeNow(block, position);
        position += block.length;
      }
      await file.close();
      writer.addFile(FILE);
    } finally {
      frozen.counters.release();
    }
  }

  async onSnapshotLoad(reader: SnapshotReader): Promise<void> {
    this.#state = await loadSnapshot(pieces(reader), new TurnBudget(this.#clock));
  }
}

async function* pieces(reader: SnapshotReader): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (;;) {
    const piece = await reader.read(FILE, offset, READ_BYTES);
    if (piece.length === 0) return;
    offset += piece.length;
    yield piece;
  }
}

/** The log entry of a write. */
export function encodeWrite(write: Write): Uint8Array {
  const { id, value } = write;
  if (write.type === 'exchange') return encodeBraftCommand({ type: 'exchange', id, value });
  const { expected: expectedValue } = write;
  return encodeBraftCommand({ type: 'compareExchange', id, expectedValue, newValue: value });
}

/** The writes in a log entry. */
export function decodeWrites(data: Uint8Array): readonly Write[] {
  const command = decodeCommand(data);
  if (command.type === 'exchange') {
    return [{ type: 'exchange', id: command.id, value: command.value }];
  }
  if (command.type !== 'compareExchange') return [];
  const { id, expectedValue: expected, newValue: value } = command;
  return [{ type: 'compareExchange', id, expected, value }];
}

import { describe, expect, it } from '@jest/globals';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeBatch, encodeRegisterSession } from '../../../server/atomic/command.ts';
import { braftText } from '../../../server/atomic/snapshot-save.ts';
import { AtomicStateMachine } from '../../../server/atomic/state-machine.ts';
import { TurnBudget } from '../../../server/atomic/turn-budget.ts';
import { MonotonicMs } from '../../../server/raft/core/ids.ts';
import { systemClock } from '../../../server/raft/index.ts';
import { applyData } from '../../support/atomic-node.ts';
import { writes, type Write } from '../../support/atomic-writes.ts';
import { SnapshotFolder } from '../../support/snapshot-folder.ts';

const LIMITS = { sessionsMax: 4, answersMax: 50 };

/** Entries 1.. of some history with counters and sessions. */
function history(entries: number): Uint8Array[] {
  return Array.from({ length: entries }, (_, at) => {
    if (at < 3) return encodeRegisterSession(LIMITS);
    const operations = Array.from({ length: 40 }, (_, op): Write => [
      'exchange',
      BigInt((at * 37 + op * 101) % 9_001) * -77n,
      BigInt(at),
    ]);
    const writeId = { sessionId: 1 + (at % 3), serial: at, lowestUnanswered: Math.max(1, at - 2) };
    const batch = writes(operations);
    return encodeBatch(
      at % 5 === 0 ? [batch, { ...writes(operations.slice(0, 3)), writeId }] : [batch],
    );
  });
}

function apply(machine: AtomicStateMachine, entries: readonly Uint8Array[], from = 0): void {
  for (let at = from; at < entries.length; at++) {
    const data = entries[at];
    if (data !== undefined) applyData(machine, at + 1, data);
  }
}

async function bytesOf(machine: AtomicStateMachine): Promise<Buffer> {
  await using folder = await SnapshotFolder.create();
  await machine.onSnapshotSave(folder);
  return await readFile(join(folder.path, folder.added[0] ?? ''));
}

/** A member that has loaded the snapshot of another. */
async function loadedFrom(machine: AtomicStateMachine, index: number): Promise<AtomicStateMachine> {
  await using folder = await SnapshotFolder.create();
  await machine.onSnapshotSave(folder);
  const loaded = new AtomicStateMachine();
  await loaded.onSnapshotLoad(await folder.reader(index));
  return loaded;
}

describe('snapshots', () => {
  it('bring back counters, sessions and the hash', async () => {
    const machine = new AtomicStateMachine();
    apply(machine, history(300));
    const loaded = await loadedFrom(machine, 300);
    expect(loaded.state.hash()).toBe(machine.state.hash());
    expect(loaded.state.counters.size).toBe(machine.state.counters.size);
    expect(loaded.state.sessions.answers).toBe(machine.state.sessions.answers);
    expect(loaded.appliedIndex).toBe(300);
  });

  it('are equal byte for byte at one index, after loading as after applying everything', async () => {
    const entries = history(400);
    const applied = new AtomicStateMachine({ mapCapacity: 50_000 });
    const donor = new AtomicStateMachine();
    apply(applied, entries);
    apply(donor, entries.slice(0, 250));
    const loaded = await loadedFrom(donor, 250);
    apply(loaded, entries, 250);
    expect((await bytesOf(loaded)).equals(await bytesOf(applied))).toBe(true);
  });

  it('hold the state as of the call while entries are applied', async () => {
    // Every look at this clock finds the turn's time spent, so the writing goes turn by turn.
    let now = 0;
    const clock = { ...systemClock, now: () => MonotonicMs((now += 10)) };
    const entries = history(400);
    const machine = new AtomicStateMachine({ clock });
    const reference = new AtomicStateMachine();
    apply(machine, entries.slice(0, 300));
    apply(reference, entries.slice(0, 300));
    await using folder = await SnapshotFolder.create();
    const saving = machine.onSnapshotSave(folder);
    apply(machine, entries, 300);
    await saving;
    const saved = await readFile(join(folder.path, 'counters.bin'));
    expect(saved.equals(await bytesOf(reference))).toBe(true);
    apply(reference, entries, 300);
    expect(machine.state.hash()).toBe(reference.state.hash());
  });

  it('of nothing load as nothing', async () => {
    const loaded = await loadedFrom(new AtomicStateMachine(), 1);
    expect(loaded.state.counters.size).toBe(0);
  });

  it('are refused when any byte is changed or missing, and leave the state alone', async () => {
    const machine = new AtomicStateMachine();
    apply(machine, history(6));
    const good = await bytesOf(machine);
    await using folder = await SnapshotFolder.create();
    const target = new AtomicStateMachine();
    apply(target, history(4));
    const hash = target.state.hash();
    for (let at = 0; at < good.length; at += 41) {
      const flipped = Buffer.from(good);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 0x20, at);
      for (const bad of [flipped, good.subarray(0, at)]) {
        await writeFile(join(folder.path, 'counters.bin'), bad);
        const reader = await folder.reader();
        await expect(target.onSnapshotLoad(reader)).rejects.toThrow();
      }
    }
    expect(target.state.hash()).toBe(hash);
  });

  it('of another program are refused with a reason', async () => {
    await using folder = await SnapshotFolder.create();
    await writeFile(join(folder.path, 'other'), 'x');
    const reader = await folder.reader();
    await expect(new AtomicStateMachine().onSnapshotLoad(reader)).rejects.toThrow(
      /neither counters.bin nor data/,
    );
  });
});

describe("braft's text", () => {
  it('comes back from what is exported', async () => {
    const machine = new AtomicStateMachine();
    apply(machine, history(40));
    const frozen = machine.freezeCounters();
    let text = '';
    for await (const lines of braftText(frozen, new TurnBudget(systemClock))) text += lines;
    frozen.release();
    await using folder = await SnapshotFolder.create();
    await writeFile(join(folder.path, 'data'), text);
    const loaded = new AtomicStateMachine();
    await loaded.onSnapshotLoad(await folder.reader());
    expect(loaded.state.counters.hash.value()).toBe(machine.state.counters.hash.value());
  });

  it.each(['1', '1 2 3', 'a 1', '9223372036854775808 1', '1 -9223372036854775809'])(
    'is refused with the line "%s"',
    async (line) => {
      await using folder = await SnapshotFolder.create();
      await writeFile(join(folder.path, 'data'), `1 2\n${line}\n`);
      const reader = await folder.reader();
      await expect(new AtomicStateMachine().onSnapshotLoad(reader)).rejects.toThrow();
    },
  );
});

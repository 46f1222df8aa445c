import type { AtomicState } from './atomic-state.ts';
import type { CounterChunk } from './counter-chunk.ts';
import type { FrozenCounters } from './counter-map.ts';
import { fromHalves } from './int64.ts';
import {
  BLOCK_HEADER_BYTES,
  COUNTERS_BLOCK,
  COUNTERS_PER_BLOCK,
  COUNTER_BYTES,
  END_BLOCK,
  encodeBlock,
  encodeHeader,
  encodeSession,
  sealBlock,
} from './snapshot-format.ts';
import type { Session } from './sessions.ts';
import type { TurnBudget } from './turn-budget.ts';

/** The state as of one moment; release it when it is written. */
export type FrozenState = {
  readonly counters: FrozenCounters;
  /** The header, encoded. */
  readonly header: Uint8Array;
  readonly sessions: readonly Session[];
};

/** Fixes what a snapshot will hold. Writes that come later do not show. */
export function freezeState(state: AtomicState): FrozenState {
  const { counters, sessions } = state;
  const header = encodeHeader({
    counters: counters.size,
    sessions: sessions.size,
    limits: sessions.limits,
    hash: state.hash(),
  });
  return { counters: counters.freeze(), header, sessions: sessions.freeze() };
}

/** The bytes of a snapshot file, block by block; gives way to others when the budget is spent. */
export async function* snapshotBlocks(
  frozen: FrozenState,
  budget: TurnBudget,
): AsyncGenerator<Uint8Array> {
  yield frozen.header;
  for (const session of frozen.sessions) {
    yield encodeSession(session);
    if (budget.spent) await budget.pause();
  }
  const { size, chunks } = frozen.counters;
  const payloadBytes = COUNTERS_PER_BLOCK * COUNTER_BYTES;
  let left = size;
  let block = newCountersBlock(left);
  let filled = 0;
  for (const chunk of chunks) {
    for (const slot of chunk.sortedSlots()) {
      writeCounter(block, BLOCK_HEADER_BYTES + filled, { chunk, slot });
      filled += COUNTER_BYTES;
      left--;
      if (filled < payloadBytes && left > 0) continue;
      sealBlock(block, COUNTERS_BLOCK);
      yield block;
      block = newCountersBlock(left);
      filled = 0;
    }
    if (budget.spent) await budget.pause();
  }
  yield encodeBlock(END_BLOCK, new Uint8Array(0));
}

/** The counters as braft's example writes them into a snapshot: `<id> <value>` lines. */
export async function* braftText(
  frozen: FrozenCounters,
  budget: TurnBudget,
): AsyncGenerator<string> {
  for (const chunk of frozen.chunks) {
    let lines = '';
    for (const slot of chunk.sortedSlots()) {
      const [idLow = 0, idHigh = 0, low = 0, high = 0] = wordsAt(chunk, slot);
      lines += `${String(fromHalves(idLow, idHigh))} ${String(fromHalves(low, high))}\n`;
    }
    if (lines !== '') yield lines;
    if (budget.spent) await budget.pause();
  }
}

function newCountersBlock(left: number): Uint8Array {
  return new Uint8Array(BLOCK_HEADER_BYTES + Math.min(left, COUNTERS_PER_BLOCK) * COUNTER_BYTES);
}

function writeCounter(
  block: Uint8Array,
  start: number,
  { chunk, slot }: { readonly chunk: CounterChunk; readonly slot: number },
): void {
  for (let word = 0; word < 4; word++) {
    const value = chunk.words[slot * 4 + word] ?? 0;
    const at = start + word * 4;
    block[at] = value;
    block[at + 1] = value >>> 8;
    block[at + 2] = value >>> 16;
    block[at + 3] = value >>> 24;
  }
}

function wordsAt(chunk: CounterChunk, slot: number): Int32Array {
  return chunk.words.subarray(slot * 4, slot * 4 + 4);
}

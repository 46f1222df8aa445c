import { AtomicState } from './atomic-state.ts';
import { INT64_MAX, INT64_MIN } from './int64.ts';
import {
  COUNTERS_BLOCK,
  COUNTER_BYTES,
  END_BLOCK,
  HEADER_BLOCK,
  SESSION_BLOCK,
  SnapshotFormatError,
  decodeBlock,
  decodeHeader,
  decodeSession,
  type SnapshotHeader,
} from './snapshot-format.ts';
import type { TurnBudget } from './turn-budget.ts';

/** The pieces of a file in order. */
export type FilePieces = AsyncIterable<Uint8Array>;

/** Capacity is only a hint, so a damaged count must not make us reserve memory without end. */
const CAPACITY_HINT_MAX = 1 << 24;

/**
 * Reads one of our snapshot files.
 *
 * @throws SnapshotFormatError when anything in it is damaged or missing.
 */
export async function loadSnapshot(pieces: FilePieces, budget: TurnBudget): Promise<AtomicState> {
  const loader = new SnapshotLoader();
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : joined(rest, piece);
    for (let block = decodeBlock(rest); block !== undefined; block = decodeBlock(rest)) {
      loader.take(block.type, block.payload);
      rest = rest.subarray(block.length);
      if (budget.spent) await budget.pause();
    }
  }
  if (rest.length > 0) throw new SnapshotFormatError('the file ends within a block');
  return loader.finish();
}

/**
 * Reads the text that braft's example writes: a line `<id> <value>` for each counter.
 *
 * @throws SnapshotFormatError on a line that is none.
 */
export async function loadBraftText(pieces: FilePieces, budget: TurnBudget): Promise<AtomicState> {
  const state = new AtomicState();
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) takeLine(state, line);
    if (budget.spent) await budget.pause();
  }
  if (rest !== '') takeLine(state, rest);
  return state;
}

/** Builds the state from blocks and checks their order. */
class SnapshotLoader {
  #state: AtomicState | undefined;
  #header: SnapshotHeader | undefined;
  #ended = false;

  take(type: number, payload: Uint8Array): void {
    if (this.#ended) throw new SnapshotFormatError('there are blocks after the end');
    if (type === HEADER_BLOCK) {
      this.#start(payload);
      return;
    }
    const state = this.#state;
    if (state === undefined) throw new SnapshotFormatError('the header is missing');
    if (type === SESSION_BLOCK) state.sessions.restore(decodeSession(payload));
    else if (type === COUNTERS_BLOCK) storeCounters(state, payload);
    else if (type === END_BLOCK) this.#ended = true;
    else throw new SnapshotFormatError(`a block has the unknown type ${type}`);
  }

  finish(): AtomicState {
    const state = this.#state;
    if (state === undefined || !this.#ended) throw new SnapshotFormatError('the file is cut off');
    if (state.counters.size !== this.#header?.counters || state.hash() !== this.#header.hash) {
      throw new SnapshotFormatError('the state does not have the hash that the header states');
    }
    return state;
  }

  #start(payload: Uint8Array): void {
    if (this.#state !== undefined) throw new SnapshotFormatError('there is a second header');
    const header = decodeHeader(payload);
    this.#header = header;
    this.#state = new AtomicState(Math.min(header.counters, CAPACITY_HINT_MAX));
    this.#state.sessions.restoreLimits(header.limits);
  }
}

function storeCounters({ counters }: AtomicState, payload: Uint8Array): void {
  if (payload.length % COUNTER_BYTES !== 0) {
    throw new SnapshotFormatError('a counter is cut off');
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  for (let at = 0; at < payload.length; at += COUNTER_BYTES) {
    counters.find(view.getInt32(at, true), view.getInt32(at + 4, true));
    counters.store(view.getInt32(at + 8, true), view.getInt32(at + 12, true));
  }
}

function takeLine(state: AtomicState, line: string): void {
  const match = /^(-?\d{1,19}) (-?\d{1,19})\r?$/.exec(line);
  const [, id, value] = match ?? [];
  if (id === undefined || value === undefined) {
    throw new SnapshotFormatError(`not a line of a snapshot: "${line.slice(0, 60)}"`);
  }
  state.counters.set(int64(id), int64(value));
}

function int64(text: string): bigint {
  const value = BigInt(text);
  if (value < INT64_MIN || value > INT64_MAX) {
    throw new SnapshotFormatError(`${text} is outside int64`);
  }
  return value;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

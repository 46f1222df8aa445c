import type { MonotonicMs } from '../core/ids.ts';
import { wireBytes } from './frame-encoder.ts';
import type { AddressedMessage } from './transport.ts';
import type { TransportLimits } from './transport-limits.ts';

type QueueLimits = Pick<
  TransportLimits,
  'frameBytesMax' | 'bufferedBytesMax' | 'bufferedUrgentMax'
>;

type Item = {
  readonly message: AddressedMessage;
  readonly bytes: number;
  readonly queuedAt: MonotonicMs;
};

/**
 * Messages that wait to be written to one peer. In order, as long as they fit one frame; when they
 * do not, appends wait and all else overtakes them, since a heartbeat or a vote must not queue
 * behind megabytes. Raft takes messages in any order.
 */
export class SendQueue {
  readonly #limits: QueueLimits;
  #items: Item[] = [];
  #bytes = 0;
  #urgentCount = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Takes a message; false: it was an append and the buffer is full, so it is dropped. */
  push(message: AddressedMessage, now: MonotonicMs): boolean {
    const bytes = wireBytes(message.message);
    const urgent = isUrgent(message);
    if (!urgent && this.#bytes + bytes > this.#limits.bufferedBytesMax) return false;
    if (urgent && this.#urgentCount >= this.#limits.bufferedUrgentMax) this.#dropOldestUrgent();
    this.#items.push({ message, bytes, queuedAt: now });
    this.#bytes += bytes;
    if (urgent) this.#urgentCount++;
    return true;
  }

  /** Takes out what one frame may hold: at least one message, unless there is none. */
  takeFrame(): AddressedMessage[] {
    const { frameBytesMax } = this.#limits;
    const items = this.#items;
    if (this.#bytes <= frameBytesMax) {
      this.#replace([]);
      return items.map(({ message }) => message);
    }
    const taken = items.filter(({ message }) => isUrgent(message));
    const left: Item[] = [];
    let bytes = taken.reduce((sum, item) => sum + item.bytes, 0);
    for (const item of items) {
      if (isUrgent(item.message)) continue;
      if (left.length === 0 && (taken.length === 0 || bytes + item.bytes <= frameBytesMax)) {
        taken.push(item);
        bytes += item.bytes;
      } else {
        left.push(item);
      }
    }
    this.#replace(left);
    return taken.map(({ message }) => message);
  }

  /** Drops every append, and what was queued before `since`. */
  dropStale(since: MonotonicMs): void {
    this.#replace(
      this.#items.filter(({ message, queuedAt }) => isUrgent(message) && queuedAt >= since),
    );
  }

  #dropOldestUrgent(): void {
    const oldest = this.#items.findIndex(({ message }) => isUrgent(message));
    this.#replace(this.#items.toSpliced(oldest, 1));
  }

  #replace(items: Item[]): void {
    this.#items = items;
    this.#bytes = 0;
    this.#urgentCount = 0;
    for (const { message, bytes } of items) {
      this.#bytes += bytes;
      if (isUrgent(message)) this.#urgentCount++;
    }
  }
}

/** Everything but the bulk of the traffic. An append without entries is a probe: small. */
function isUrgent({ message }: AddressedMessage): boolean {
  return message.type !== 'appendRequest';
}

import type { MonotonicMs } from '../core/ids.ts';
import type { Clock } from '../node/clock.ts';
import type { Logger } from '../node/logger.ts';

/** One line for the same matter at most this often. */
const REPEAT_AFTER_MS = 10_000;
/** Matters told apart; strangers choose the names in them, so their number is bounded. */
const MATTERS_MAX = 512;
const TEXT_LENGTH_MAX = 200;

/** What is counted about a transport's traffic, for metrics. */
export type TrafficEvent =
  | 'framesSent'
  | 'framesReceived'
  | 'bytesSent'
  | 'bytesReceived'
  | 'messagesSent'
  | 'messagesReceived'
  | 'appendsDropped'
  | 'responsesDropped'
  | 'malformed'
  | 'refusedByUs'
  | 'refusedByPeer'
  | 'incompatible'
  | 'denied'
  | 'connected'
  | 'disconnected';

/** Counts what happens on the wire and logs what people should know, each matter rarely. */
export class TrafficLog {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #logger: Logger;
  readonly #counts = new Map<TrafficEvent, number>();
  readonly #matters = new Map<string, { readonly loggedAt: MonotonicMs; suppressed: number }>();

  constructor(clock: Pick<Clock, 'now'>, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  count(event: TrafficEvent, by = 1): void {
    this.#counts.set(event, (this.#counts.get(event) ?? 0) + by);
  }

  /** All counts since start. */
  counts(): Readonly<Partial<Record<TrafficEvent, number>>> {
    return Object.fromEntries(this.#counts);
  }

  /** Counts and warns; `about` says with whom, `why` comes from the network and is escaped. */
  warn(event: TrafficEvent, message: string, about: string, why: string): void {
    this.count(event);
    this.#logRarely(event, { message, about, why });
  }

  /** A line that people need when they look for it. */
  info(event: TrafficEvent, message: string, about: string): void {
    this.count(event);
    this.#logger.info(message, { peer: printable(about) });
  }

  #logRarely(
    event: TrafficEvent,
    line: { readonly message: string; readonly about: string; readonly why: string },
  ): void {
    const now = this.#clock.now();
    const key = `${event} ${line.about} ${line.why}`;
    const known = this.#matters.get(key);
    if (known !== undefined && now - known.loggedAt < REPEAT_AFTER_MS) {
      known.suppressed++;
      return;
    }
    if (known === undefined && this.#matters.size >= MATTERS_MAX) {
      if (!this.#forgetOld(now)) return;
    }
    this.#matters.set(key, { loggedAt: now, suppressed: 0 });
    this.#logger.warn(line.message, {
      peer: printable(line.about),
      reason: printable(line.why),
      ...(known !== undefined && known.suppressed > 0 && { suppressed: known.suppressed }),
    });
  }

  /** False when all matters are fresh: then a new one is only counted. */
  #forgetOld(now: MonotonicMs): boolean {
    for (const [key, { loggedAt }] of this.#matters) {
      if (now - loggedAt >= REPEAT_AFTER_MS) this.#matters.delete(key);
    }
    return this.#matters.size < MATTERS_MAX;
  }
}

/** Text from the network must not forge log lines. */
function printable(text: string): string {
  return text.slice(0, TEXT_LENGTH_MAX).replace(/[^\x20-\x7e]/g, '?');
}

import type { Incarnation, PeerId } from '../core/ids.ts';
import type { AddressedMessage, ReceiveRefusal } from './transport.ts';
import type { BatchEnvelope } from './wire.ts';

/** Who speaks on a connection and which formats it reads; both versions 0: no node there yet. */
export type Hello = {
  readonly formatVersionMin: number;
  readonly formatVersionMax: number;
  readonly nodes: readonly HelloNode[];
};

export type HelloNode = {
  readonly group: string;
  readonly peer: PeerId;
  readonly incarnation: Incarnation;
};

/** Tells a sender that `peer` did not take its messages, and why. */
export type RefusedNotice = {
  readonly group: string;
  readonly peer: PeerId;
  readonly reason: ReceiveRefusal;
};

/** What one side writes at once. */
export type Frame = {
  readonly hello?: Hello;
  readonly messages?: readonly AddressedMessage[];
  readonly refused?: readonly RefusedNotice[];
};

/** Messages that share an envelope, as received. */
export type ReceivedBatch = {
  readonly envelope: BatchEnvelope;
  readonly messages: readonly AddressedMessage[];
};

/** A frame as received: what could be read, and what was wrong with the rest. */
export type ReceivedFrame = {
  readonly hello: Hello | undefined;
  readonly batches: readonly ReceivedBatch[];
  readonly refused: readonly RefusedNotice[];
  /** One sentence for each part that was dropped. */
  readonly malformed: readonly string[];
};

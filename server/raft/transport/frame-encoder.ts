import * as wire from '../../../proto/gen/raft/v1/raft.ts';
import type {
  AppendRequest,
  AppendResponse,
  HeartbeatRequest,
  HeartbeatResponse,
  Message,
} from '../core/message.ts';
import { recordBytes, recordOf } from '../encoding/record.ts';
import type { AddressedMessage } from './transport.ts';
import type { Frame, Hello } from './wire-frame.ts';
import { WireWriter } from './wire-writer.ts';
import { messageToWire } from './wire.ts';

/** Upper bounds of what surrounds the variable part of a message, a batch and a frame. */
const MESSAGE_OVERHEAD_BYTES = 96;
const BATCH_OVERHEAD_BYTES = 16;
const ENVELOPES_CACHED_MAX = 64;
const NOTHING = new Uint8Array(0);

/** About how many bytes a message takes on the wire; what limits count. */
export function wireBytes(message: Message): number {
  return MESSAGE_OVERHEAD_BYTES + (message.type === 'appendRequest' ? recordsBytes(message) : 0);
}

/**
 * Makes the bytes of frames. Entries are copied once, from their storage records; the generated
 * code would copy them once for every level of nesting. One encoder serves one stream.
 */
export class FrameEncoder {
  /** Envelopes repeat from frame to frame: their bytes are made once. */
  readonly #envelopes: { readonly first: AddressedMessage; readonly bytes: Uint8Array }[] = [];

  encode(frame: Frame): Buffer {
    const hello = frame.hello === undefined ? NOTHING : encodeHello(frame.hello);
    const refused = (frame.refused ?? []).map((notice) => wire.Refused.encode(notice).finish());
    const batches = batchesOf(frame.messages ?? []).map((messages) => this.#prepare(messages));
    let bytesMax = hello.length + BATCH_OVERHEAD_BYTES;
    for (const notice of refused) bytesMax += notice.length + BATCH_OVERHEAD_BYTES;
    for (const batch of batches) bytesMax += batch.bytesMax;
    const writer = new WireWriter(bytesMax);
    for (const notice of refused.reverse()) writer.bytes(3, notice);
    for (const batch of batches.reverse()) writeBatch(writer, batch);
    writer.bytes(1, hello);
    return writer.finish();
  }

  #prepare(messages: readonly AddressedMessage[]): PreparedBatch {
    const parts: PreparedMessage[] = [];
    const envelope = this.#envelopeOf(messages);
    let bytesMax = envelope.length + BATCH_OVERHEAD_BYTES;
    for (const { message } of messages) {
      const part = prepareMessage(message);
      bytesMax += part.bytesMax;
      parts.push(part);
    }
    return { envelope, parts, bytesMax };
  }

  #envelopeOf(messages: readonly AddressedMessage[]): Uint8Array {
    const [first] = messages;
    if (first === undefined) return NOTHING;
    const known = this.#envelopes.find((candidate) => sameEnvelope(candidate.first, first));
    if (known !== undefined) return known.bytes;
    const { from, fromIncarnation, to, toIncarnation } = first.message;
    const { group, clusterId, lineage } = first;
    const ends = { from, fromIncarnation, to, toIncarnation, messages: [] };
    const bytes = wire.PeerBatch.encode({ group, clusterId, lineage, ...ends }).finish();
    if (this.#envelopes.length >= ENVELOPES_CACHED_MAX) this.#envelopes.length = 0;
    this.#envelopes.push({ first, bytes });
    return bytes;
  }
}

/** A message ready to be written: either its seldom body or the frequent message itself. */
type PreparedMessage = { readonly bytesMax: number; readonly write: (writer: WireWriter) => void };

type PreparedBatch = {
  readonly envelope: Uint8Array;
  readonly parts: readonly PreparedMessage[];
  readonly bytesMax: number;
};

/** Splits into runs of one envelope each; the order between the same two nodes is kept. */
function batchesOf(messages: readonly AddressedMessage[]): AddressedMessage[][] {
  const batches: AddressedMessage[][] = [];
  for (const message of messages) {
    const batch = batches.findLast(([first]) => first !== undefined && sameEnds(first, message));
    const first = batch?.[0];
    if (batch !== undefined && first !== undefined && sameEnvelope(first, message)) {
      batch.push(message);
    } else {
      batches.push([message]);
    }
  }
  return batches;
}

function sameEnds(a: AddressedMessage, b: AddressedMessage): boolean {
  return a.group === b.group && a.message.to === b.message.to && a.message.from === b.message.from;
}

function sameEnvelope(a: AddressedMessage, b: AddressedMessage): boolean {
  return (
    sameEnds(a, b) &&
    a.clusterId === b.clusterId &&
    a.lineage === b.lineage &&
    a.message.fromIncarnation === b.message.fromIncarnation &&
    a.message.toIncarnation === b.message.toIncarnation
  );
}

function writeBatch(writer: WireWriter, { parts, envelope }: PreparedBatch): void {
  const batchStart = writer.length;
  for (let at = parts.length - 1; at >= 0; at--) {
    const messageStart = writer.length;
    parts[at]?.write(writer);
    writer.endNested(8, messageStart);
  }
  writer.raw(envelope);
  writer.endNested(2, batchStart);
}

function prepareMessage(message: Message): PreparedMessage {
  switch (message.type) {
    case 'appendRequest':
      return frequent(message, writeAppendRequest, recordsBytes(message));
    case 'appendResponse':
      return frequent(message, writeAppendResponse);
    case 'heartbeatRequest':
      return frequent(message, writeHeartbeatRequest);
    case 'heartbeatResponse':
      return frequent(message, writeHeartbeatResponse);
    default: {
      const bytes = wire.PeerMessage.encode(messageToWire(message)).finish();
      const write = (writer: WireWriter): void => {
        writer.raw(bytes);
      };
      return { bytesMax: bytes.length + BATCH_OVERHEAD_BYTES, write };
    }
  }
}

function frequent<M extends Message>(
  message: M,
  writeBody: (writer: WireWriter, message: M) => number,
  variableBytes = 0,
): PreparedMessage {
  const write = (writer: WireWriter): void => {
    const start = writer.length;
    writer.endNested(writeBody(writer, message), start);
    writer.integer(1, message.term);
  };
  return { bytesMax: MESSAGE_OVERHEAD_BYTES + variableBytes, write };
}

// Each writes the fields of a body, last first, and returns the body's field in PeerMessage.

function writeAppendRequest(writer: WireWriter, message: AppendRequest): number {
  const { previous, entries, commitIndex } = message;
  if (entries.length > 0) {
    const recordsStart = writer.length;
    for (let at = entries.length - 1; at >= 0; at--) {
      const entry = entries[at];
      if (entry !== undefined) writer.raw(recordOf(entry));
    }
    writer.endNested(3, recordsStart);
  }
  writer.integer(2, commitIndex);
  writeLogId(writer, 1, previous);
  return 4;
}

function writeAppendResponse(writer: WireWriter, { outcome, readonly }: AppendResponse): number {
  if (outcome.accepted) {
    writer.presentInteger(2, outcome.matchIndex);
  } else {
    writeLogId(writer, 4, outcome.hint);
    writer.presentInteger(3, outcome.previousIndex);
  }
  writer.boolean(1, readonly);
  return 5;
}

function writeHeartbeatRequest(writer: WireWriter, message: HeartbeatRequest): number {
  writer.integer(3, message.transferId);
  writer.integer(2, message.round);
  writer.integer(1, message.commitIndex);
  return 6;
}

function writeHeartbeatResponse(writer: WireWriter, message: HeartbeatResponse): number {
  writer.boolean(4, message.installing);
  writer.boolean(3, message.readonly);
  writer.integer(2, message.transferId);
  writer.integer(1, message.round);
  return 7;
}

function writeLogId(
  writer: WireWriter,
  field: number,
  id: { readonly term: number; readonly index: number },
): void {
  const start = writer.length;
  writer.integer(2, id.index);
  writer.integer(1, id.term);
  writer.endNested(field, start);
}

function recordsBytes({ entries }: AppendRequest): number {
  let bytes = 0;
  for (const entry of entries) bytes += recordBytes(entry);
  return bytes;
}

function encodeHello({ formatVersionMin, formatVersionMax, nodes }: Hello): Uint8Array {
  return wire.Hello.encode({ formatVersionMin, formatVersionMax, nodes: [...nodes] }).finish();
}

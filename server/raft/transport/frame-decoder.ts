import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import * as wire from '../../../proto/gen/raft/v1/raft.ts';
import { Incarnation } from '../core/ids.ts';
import type { AddressedMessage, ReceiveRefusal } from './transport.ts';
import type { Hello, ReceivedBatch, ReceivedFrame, RefusedNotice } from './wire-frame.ts';
import type { BatchEnvelope } from './wire.ts';
import { WireError } from './wire-error.ts';
import { envelopeFromWire, messageFromWire, name, peer } from './wire.ts';

/** More nodes than one process can have. */
const HELLO_NODES_MAX = 1024;
const ENVELOPES_CACHED_MAX = 64;
/**
 * Fields of a frame and of what is right inside it. No frame of ours comes near; an empty one takes
 * two bytes on the wire and a hundred times that in memory.
 */
const FIELDS_MAX = 131_072;
/** Faults named; what follows so many of them is not read. */
const FAULTS_MAX = 64;
const REASONS: readonly string[] = [
  'unknownGroup',
  'clusterMismatch',
  'lineageMismatch',
  'incarnationMismatch',
  'notActive',
] satisfies readonly ReceiveRefusal[];

/** Reads frames; one decoder serves one stream. */
export class FrameDecoder {
  /** Envelopes repeat from frame to frame: they are checked once. */
  readonly #envelopes: { readonly batch: wire.PeerBatch; readonly envelope: BatchEnvelope }[] = [];

  /**
   * Reads one frame. Never throws: what cannot be read is left out and named in `malformed`.
   * Entries hold views of `bytes`, which must not change any more.
   */
  decode(bytes: Uint8Array): ReceivedFrame {
    const malformed: string[] = [];
    const frame = attempt(() => {
      checkFields(bytes);
      return wire.ExchangeResponse.decode(bytes);
    }, malformed);
    if (frame === undefined) return { hello: undefined, batches: [], refused: [], malformed };
    const { hello, batches, refused } = frame;
    return {
      hello: hello === undefined ? undefined : attempt(() => helloFrom(hello), malformed),
      batches: batches.flatMap((batch) => this.#batchFrom(batch, malformed)),
      refused: refused.flatMap((notice) => attempt(() => noticesFrom(notice), malformed) ?? []),
      malformed,
    };
  }

  #batchFrom(batch: wire.PeerBatch, malformed: string[]): ReceivedBatch[] {
    const envelope = attempt(() => this.#envelopeOf(batch), malformed);
    if (envelope === undefined) return [];
    const { group, clusterId, lineage } = envelope;
    const messages: AddressedMessage[] = [];
    for (const encoded of batch.messages) {
      const message = attempt(() => messageFromWire(envelope, encoded), malformed);
      if (message !== undefined) messages.push({ group, clusterId, lineage, message });
    }
    return [{ envelope, messages }];
  }

  #envelopeOf(batch: wire.PeerBatch): BatchEnvelope {
    const known = this.#envelopes.find((candidate) => sameWireEnvelope(candidate.batch, batch));
    if (known !== undefined) return known.envelope;
    const envelope = envelopeFromWire(batch);
    if (this.#envelopes.length >= ENVELOPES_CACHED_MAX) this.#envelopes.length = 0;
    this.#envelopes.push({ batch: { ...batch, messages: [] }, envelope });
    return envelope;
  }
}

function sameWireEnvelope(a: wire.PeerBatch, b: wire.PeerBatch): boolean {
  return (
    a.group === b.group &&
    a.to === b.to &&
    a.from === b.from &&
    a.clusterId === b.clusterId &&
    a.lineage === b.lineage &&
    a.fromIncarnation === b.fromIncarnation &&
    a.toIncarnation === b.toIncarnation
  );
}

function helloFrom({ formatVersionMin, formatVersionMax, nodes }: wire.Hello): Hello {
  return {
    formatVersionMin,
    formatVersionMax,
    nodes: nodes.slice(0, HELLO_NODES_MAX).map((node) => ({
      group: name(node.group, 'group'),
      peer: peer(node.peer),
      incarnation: Incarnation(name(node.incarnation, 'incarnation')),
    })),
  };
}

/** A reason of a newer version than ours is left out: it says nothing to us. */
function noticesFrom(notice: wire.Refused): RefusedNotice[] {
  const { reason } = notice;
  if (!isRefusal(reason)) return [];
  return [{ group: name(notice.group, 'group'), peer: peer(notice.peer), reason }];
}

function isRefusal(reason: string): reason is ReceiveRefusal {
  return REASONS.includes(reason);
}

/** Looks at a frame before memory is spent on it. @throws WireError when it has too many parts. */
function checkFields(bytes: Uint8Array): void {
  const reader = new BinaryReader(bytes);
  let fields = 0;
  const skimTo = (end: number, skimField: (wireType: WireType) => void): void => {
    while (reader.pos < end) {
      if (++fields > FIELDS_MAX) throw new WireError('a frame of too many parts');
      const [, wireType] = reader.tag();
      skimField(wireType);
    }
  };
  const skip = (wireType: WireType): void => {
    reader.skip(wireType);
  };
  skimTo(bytes.length, (wireType) => {
    if (wireType === WireType.LengthDelimited) skimTo(reader.uint32() + reader.pos, skip);
    else skip(wireType);
  });
}

/** Whatever a stranger sends must end here as a counted sentence, not in the loop as a throw. */
function attempt<T>(read: () => T, malformed: string[]): T | undefined {
  if (malformed.length >= FAULTS_MAX) return undefined;
  try {
    return read();
  } catch (error) {
    malformed.push(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

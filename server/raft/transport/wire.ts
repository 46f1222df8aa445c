import type { SnapshotMeta as WireSnapshotMeta } from '../../../proto/gen/braft/storage.ts';
import type * as wire from '../../../proto/gen/raft/v1/raft.ts';
import { unreachable } from '../core/assert.ts';
import type { LogEntry } from '../core/entry.ts';
import { Incarnation, Lineage, LogIndex, Term } from '../core/ids.ts';
import type { LogId, PeerId } from '../core/ids.ts';
import type {
  AppendOutcome,
  AppendRequest,
  AppendResponse,
  DisruptedLeader,
  HeartbeatRequest,
  HeartbeatResponse,
  Message,
} from '../core/message.ts';
import { parsePeerId } from '../core/peer-id.ts';
import {
  snapshotMetaFromMessage,
  snapshotMetaToMessage,
} from '../encoding/configuration-payload.ts';
import { decodeRecords, RECORD_HEADER_BYTES } from '../encoding/record.ts';
import type { AddressedMessage } from './transport.ts';
import { WireError } from './wire-error.ts';

/** Kinds that go back over the stream their request came on. */
export type Response = Extract<Message, { readonly type: `${string}Response` }>;

/** Kinds sent all the time; wire-frame.ts assembles their bytes itself. */
type FrequentMessage = AppendRequest | AppendResponse | HeartbeatRequest | HeartbeatResponse;

/** What all messages of a batch have in common. */
export type BatchEnvelope = Pick<AddressedMessage, 'group' | 'clusterId' | 'lineage'> &
  Pick<Message, 'from' | 'fromIncarnation' | 'to' | 'toIncarnation'>;

/** Longest group name, cluster id, lineage and incarnation taken from the network. */
const NAME_LENGTH_MAX = 256;
const COPY_ID_LENGTH_MAX = 64;

export function isResponse(message: Message): message is Response {
  switch (message.type) {
    case 'voteResponse':
    case 'appendResponse':
    case 'heartbeatResponse':
    case 'installSnapshotResponse':
      return true;
    case 'voteRequest':
    case 'appendRequest':
    case 'heartbeatRequest':
    case 'installSnapshotRequest':
    case 'timeoutNow':
      return false;
    default:
      return unreachable(message);
  }
}

/** A seldom message in its generated form. */
export function messageToWire(message: Exclude<Message, FrequentMessage>): wire.PeerMessage {
  return { term: message.term, body: bodyToWire(message) };
}

function bodyToWire(message: Exclude<Message, FrequentMessage>): wire.PeerMessage['body'] {
  const { type } = message;
  switch (type) {
    case 'voteRequest': {
      const { preVote, lastLog, triggered, disrupted } = message;
      return { $case: type, voteRequest: { preVote, lastLog, triggered, disrupted } };
    }
    case 'voteResponse': {
      const { preVote, requestTerm, granted, rejectedByLease, disrupted } = message;
      const voteResponse = { preVote, requestTerm, granted, rejectedByLease, disrupted };
      return { $case: type, voteResponse };
    }
    case 'installSnapshotRequest': {
      const meta = snapshotMetaToMessage(message.meta);
      return { $case: type, installSnapshotRequest: { meta, copyId: message.copyId } };
    }
    case 'installSnapshotResponse': {
      const { accepted, matchIndex } = message;
      return { $case: type, installSnapshotResponse: { accepted, matchIndex } };
    }
    case 'timeoutNow':
      return { $case: type, timeoutNow: { transferId: message.transferId } };
    default:
      return unreachable(message);
  }
}

/** @throws WireError when a field is missing, too long or no peer id. */
export function envelopeFromWire(batch: wire.PeerBatch): BatchEnvelope {
  const { lineage, toIncarnation } = batch;
  return {
    group: name(batch.group, 'group'),
    clusterId: shortText(batch.clusterId, 'cluster id'),
    lineage: lineage === undefined ? undefined : Lineage(name(lineage, 'lineage')),
    from: peer(batch.from),
    fromIncarnation: Incarnation(name(batch.fromIncarnation, 'sender incarnation')),
    to: peer(batch.to),
    toIncarnation:
      toIncarnation === undefined
        ? undefined
        : Incarnation(name(toIncarnation, 'receiver incarnation')),
  };
}

/**
 * A message as the core knows it, everything in it checked.
 *
 * @throws WireError (or RangeError, or RaftError EIO for damaged records) when it is not valid.
 */
export function messageFromWire(envelope: BatchEnvelope, message: wire.PeerMessage): Message {
  const { from, fromIncarnation, to, toIncarnation } = envelope;
  const ends = { term: Term(message.term), from, fromIncarnation, to, toIncarnation };
  const { body } = message;
  switch (body?.$case) {
    case 'appendRequest':
      return { type: body.$case, ...ends, ...appendRequest(body.appendRequest, ends.term) };
    case 'appendResponse':
      return { type: body.$case, ...ends, ...appendResponse(body.appendResponse) };
    case 'heartbeatRequest':
      return { type: body.$case, ...ends, ...heartbeatRequest(body.heartbeatRequest) };
    case 'heartbeatResponse':
      return { type: body.$case, ...ends, ...heartbeatResponse(body.heartbeatResponse) };
    case 'voteRequest':
      return { type: body.$case, ...ends, ...voteRequest(body.voteRequest) };
    case 'voteResponse':
      return { type: body.$case, ...ends, ...voteResponse(body.voteResponse) };
    case 'installSnapshotRequest':
      return { type: body.$case, ...ends, ...installSnapshot(body.installSnapshotRequest) };
    case 'installSnapshotResponse': {
      const { accepted, matchIndex } = body.installSnapshotResponse;
      return { type: body.$case, ...ends, accepted, matchIndex: LogIndex(matchIndex) };
    }
    case 'timeoutNow':
      return { type: body.$case, ...ends, transferId: counter(body.timeoutNow.transferId) };
    case undefined:
      throw new WireError('a message of no known kind');
    default:
      return unreachable(body);
  }
}

function appendRequest(request: wire.AppendRequest, term: Term) {
  const previous = logId(request.previous, 'previous entry');
  const entries = decodeRecords(request.records, LogIndex(previous.index + 1));
  checkEntries(entries, { previous, term, recordsBytes: request.records.length });
  return { previous, entries, commitIndex: LogIndex(request.commitIndex) };
}

/** What every log guarantees: terms do not fall along it, nor go beyond the leader's (§5.3). */
function checkEntries(
  entries: readonly LogEntry[],
  expected: { readonly previous: LogId; readonly term: Term; readonly recordsBytes: number },
): void {
  let term = expected.previous.term;
  let bytes = 0;
  for (const { id, record } of entries) {
    if (id.term < term) throw new WireError(`the term falls at entry ${id.index}`);
    term = id.term;
    bytes += record?.length ?? RECORD_HEADER_BYTES;
  }
  if (term > expected.term) throw new WireError('an entry of a term above its leader');
  if (bytes !== expected.recordsBytes) throw new WireError('bytes after the last record');
}

function appendResponse(response: wire.AppendResponse) {
  return { outcome: appendOutcome(response), readonly: response.readonly };
}

function appendOutcome({ matchIndex, previousIndex, hint }: wire.AppendResponse): AppendOutcome {
  if (matchIndex !== undefined) return { accepted: true, matchIndex: LogIndex(matchIndex) };
  if (previousIndex === undefined) throw new WireError('an append response without an outcome');
  return {
    accepted: false,
    previousIndex: LogIndex(previousIndex),
    hint: logId(hint, 'hint'),
  };
}

function heartbeatRequest({ commitIndex, round, transferId }: wire.HeartbeatRequest) {
  return {
    commitIndex: LogIndex(commitIndex),
    round: counter(round),
    transferId: counter(transferId),
  };
}

function heartbeatResponse(response: wire.HeartbeatResponse) {
  const { round, transferId, readonly, installing } = response;
  return { round: counter(round), transferId: counter(transferId), readonly, installing };
}

function voteRequest({ preVote, lastLog, triggered, disrupted }: wire.VoteRequest) {
  return {
    preVote,
    lastLog: logId(lastLog, 'last entry'),
    triggered,
    ...(disrupted !== undefined && { disrupted: disruptedLeader(disrupted) }),
  };
}

function voteResponse(response: wire.VoteResponse) {
  const { preVote, requestTerm, granted, rejectedByLease, disrupted } = response;
  return {
    preVote,
    requestTerm: Term(requestTerm),
    granted,
    rejectedByLease,
    ...(disrupted !== undefined && { disrupted: disruptedLeader(disrupted) }),
  };
}

function installSnapshot({ meta, copyId }: wire.InstallSnapshotRequest) {
  if (copyId === '' || copyId.length > COPY_ID_LENGTH_MAX) {
    throw new WireError('an install-snapshot request without a usable copy id');
  }
  return { meta: snapshotMetaFromMessage(required(meta, 'snapshot meta')), copyId };
}

function required(meta: WireSnapshotMeta | undefined, what: string): WireSnapshotMeta {
  if (meta === undefined) throw new WireError(`the ${what} is missing`);
  return meta;
}

function disruptedLeader({ leader, term }: wire.DisruptedLeader): DisruptedLeader {
  return { leader: peer(leader), term: Term(term) };
}

function logId(id: wire.LogId | undefined, what: string): LogId {
  if (id === undefined) throw new WireError(`the ${what} is missing`);
  return { term: Term(id.term), index: LogIndex(id.index) };
}

function counter(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new WireError('a counter is out of range');
  return value;
}

/** A peer id from the network; only the canonical text is taken, so that equal means equal. */
export function peer(text: string): PeerId {
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw new WireError(parsed.reason);
  if (parsed.peer !== text) throw new WireError('a peer id is not in canonical form');
  return parsed.peer;
}

/** A text that must be there and not be long. @throws WireError. */
export function name(text: string, what: string): string {
  if (text === '') throw new WireError(`the ${what} is missing`);
  return shortText(text, what);
}

function shortText(text: string, what: string): string {
  if (text.length > NAME_LENGTH_MAX) throw new WireError(`the ${what} is too long`);
  return text;
}

import { unreachable } from '../../server/raft/core/assert.ts';
import type { Effect, RoleChanged } from '../../server/raft/core/effect.ts';
import type { LogEntry } from '../../server/raft/core/entry.ts';
import type { HardState } from '../../server/raft/core/event.ts';
import type { LogId, PeerId } from '../../server/raft/core/ids.ts';
import type { Configuration } from '../../server/raft/core/membership.ts';
import type { DisruptedLeader, Message } from '../../server/raft/core/message.ts';
import type { Refusal } from '../../server/raft/core/refusal.ts';
import type { RaftState } from '../../server/raft/core/state.ts';
import { roleName } from '../../server/raft/core/step-down.ts';
import { letterOf } from './core-cluster.ts';

/** The words of transcripts: one line for each thing that happens, in fixed columns. */

/** One aligned line: which node, what happened, and the details. */
export function line(letter: string, what: string, details: string): string {
  return `${letter}  ${what.padEnd(10)} ${details}`.trimEnd();
}

/** Entry 3 of term 2 is `3@2`. */
export const idText = ({ index, term }: LogId): string => `${String(index)}@${String(term)}`;

/** Voters as letters, joint halves as `new<-old`, learners after a plus, disks known in brackets. */
export function configurationText(configuration: Configuration): string {
  const { voters, outgoing, learners, incarnations } = configuration;
  const half = outgoing === undefined ? '' : `<-${lettersOf(outgoing)}`;
  const others = learners.size === 0 ? '' : `+${lettersOf(learners)}`;
  return `${lettersOf(voters)}${half}${others}[${lettersOf(incarnations.keys())}]`;
}

/** What an entry holds, after its id. */
export function entryText(entry: LogEntry): string {
  switch (entry.kind) {
    case 'noOp':
      return `${idText(entry.id)} no-op`;
    case 'data':
      return `${idText(entry.id)} "${new TextDecoder().decode(entry.data)}"`;
    case 'configuration':
      return `${idText(entry.id)} ${configurationText(entry.configuration.configuration)}`;
    default:
      return unreachable(entry);
  }
}

/** A message in short: its name, then what only it says. */
export function messageText(message: Message): string {
  const name = messageName(message);
  return `${name.padEnd(15)} ${detailsOf(message).join(' ')}`.trimEnd();
}

/** The name that scripts use to pick messages. */
export function messageName(message: Message): string {
  const { type } = message;
  if (type === 'voteRequest') return message.preVote ? 'preVote' : 'vote';
  if (type === 'voteResponse') return message.preVote ? 'preVoteReply' : 'voteReply';
  return type.replace('Request', '').replace('Response', 'Reply').replace('installS', 's');
}

/** An effect as `what` and details; undefined for sends, which are shown as messages. */
export function effectText(effect: Effect): readonly [what: string, details: string] | undefined {
  switch (effect.type) {
    case 'send':
      return undefined;
    case 'persist':
    case 'install':
      return writeText(effect);
    case 'compact':
      return ['compact', `the log starts at ${String(effect.firstKept)}`];
    case 'commit':
      return ['commit', `up to ${String(effect.index)}`];
    case 'fetch': {
      const range = `${String(effect.from)}..${String(effect.to)}`;
      return ['fetch', `${range} from disk for ${letterOf(effect.peer)}`];
    }
    case 'sendSnapshot':
      return ['offer', `the snapshot to ${letterOf(effect.to)}`];
    case 'downloadSnapshot': {
      const { lastIncluded } = effect.meta;
      return ['download', `snapshot ${idText(lastIncluded)} from ${letterOf(effect.from)}`];
    }
    default:
      return answerText(effect);
  }
}

/** All that matters of one node, in one line. */
export function statusText(state: RaftState): string {
  const { log, hardState, commitIndex, durableIndex } = state;
  const { index, configuration } = state.configurations.latest();
  const vote = hardState.votedFor === undefined ? '-' : letterOf(hardState.votedFor);
  const leader = state.leader === undefined ? '-' : letterOf(state.leader);
  return [
    roleName(state.role).padEnd(12),
    `term=${String(hardState.term)} vote=${vote} leader=${leader}`,
    `log=${String(log.firstIndex())}..${idText(log.lastId())} durable=${String(durableIndex)}`,
    `commit=${String(commitIndex)}`,
    `config=${configurationText(configuration)} of ${String(index)}`,
  ].join(' ');
}

/** Peers by their letters, in running text too. */
export const shortPeers = (text: string): string => text.replace(/\b([a-z]):1:0:0\b/g, '$1');

function lettersOf(peers: Iterable<PeerId>): string {
  return [...peers].map(letterOf).sort().join('');
}

function detailsOf(message: Message): string[] {
  const term = `term=${String(message.term)}`;
  switch (message.type) {
    case 'voteRequest':
      return [
        `${term} last=${idText(message.lastLog)}`,
        ...(message.triggered ? ['triggered'] : []),
        ...disruptedText(message.disrupted),
      ];
    case 'voteResponse': {
      const answer = message.granted ? 'granted' : 'refused';
      const loyal = message.rejectedByLease ? ['for hearing a leader'] : [];
      return [term, answer, ...loyal, ...disruptedText(message.disrupted)];
    }
    case 'appendRequest': {
      const entries = message.entries.map(entryText).join(', ');
      const commit = `commit=${String(message.commitIndex)}`;
      return [`${term} after=${idText(message.previous)} ${commit}`, `(${entries})`];
    }
    case 'appendResponse': {
      const { outcome } = message;
      const readonly = message.readonly ? ['read-only'] : [];
      if (outcome.accepted) return [term, `match=${String(outcome.matchIndex)}`, ...readonly];
      const refused = `refused after=${String(outcome.previousIndex)}`;
      return [term, refused, `try=${idText(outcome.hint)}`, ...readonly];
    }
    default:
      return [term, ...quietDetailsOf(message)];
  }
}

type Spoken = 'voteRequest' | 'voteResponse' | 'appendRequest' | 'appendResponse';

function quietDetailsOf(message: Exclude<Message, { type: Spoken }>): string[] {
  switch (message.type) {
    case 'heartbeatRequest': {
      const transfer = transferText(message.transferId);
      return [`round=${String(message.round)} commit=${String(message.commitIndex)}`, ...transfer];
    }
    case 'heartbeatResponse': {
      const flags = [
        ...(message.readonly ? ['read-only'] : []),
        ...(message.installing ? ['installing'] : []),
      ];
      return [`round=${String(message.round)}`, ...transferText(message.transferId), ...flags];
    }
    case 'installSnapshotRequest': {
      const { lastIncluded, configuration } = message.meta;
      return [`${idText(lastIncluded)} ${configurationText(configuration.configuration)}`];
    }
    case 'installSnapshotResponse':
      return [message.accepted ? `match=${String(message.matchIndex)}` : 'refused'];
    case 'timeoutNow':
      return transferText(message.transferId);
    default:
      return unreachable(message);
  }
}

function transferText(id: number): string[] {
  return id === 0 ? [] : [`transfer=${String(id)}`];
}

function disruptedText(disrupted: DisruptedLeader | undefined): string[] {
  if (disrupted === undefined) return [];
  return [`(${letterOf(disrupted.leader)} of term ${String(disrupted.term)} gave up)`];
}

function writeText(
  effect: Extract<Effect, { type: 'persist' | 'install' }>,
): readonly [what: string, details: string] {
  const parts = effect.hardState === undefined ? [] : [hardStateText(effect.hardState)];
  if (effect.type === 'install') {
    const log = effect.resetLog ? 'in place of the log' : 'keeping the log after it';
    parts.push(`snapshot ${idText(effect.meta.lastIncluded)} ${log}`);
  } else {
    const { truncateFrom, entries } = effect.write;
    if (truncateFrom !== undefined) parts.push(`cut from ${String(truncateFrom)}`);
    if (entries.length > 0) parts.push(entries.map(entryText).join(', '));
  }
  const held = effect.thenSend.length;
  if (held > 0) parts.push(`then send ${String(held)}`);
  return [effect.type, parts.join('; ')];
}

function hardStateText({ term, votedFor }: HardState): string {
  return `term=${String(term)} vote=${votedFor === undefined ? '-' : letterOf(votedFor)}`;
}

type Answer = Exclude<
  Effect,
  {
    type:
      | 'send'
      | 'persist'
      | 'install'
      | 'compact'
      | 'commit'
      | 'fetch'
      | 'sendSnapshot'
      | 'downloadSnapshot';
  }
>;

function answerText(effect: Answer): readonly [what: string, details: string] {
  switch (effect.type) {
    case 'proposed':
      return ['proposed', `${ticketText(effect.ticket)} as ${idText(effect.id)}`];
    case 'readReady': {
      const how = effect.byLease ? ' by lease' : '';
      return ['read', `${ticketText(effect.ticket)} answered at ${String(effect.index)}${how}`];
    }
    case 'refused':
      return ['refused', `${ticketText(effect.ticket)} ${refusalText(effect.refusal)}`];
    case 'done':
      return ['done', `${ticketText(effect.ticket)}${doneText(effect)}`];
    case 'roleChanged':
      return ['role', roleText(effect)];
    case 'configurationChanged': {
      const { index, configuration } = effect.configuration;
      return ['config', `${configurationText(configuration)} of ${String(index)}`];
    }
    case 'note':
      return ['note', `${effect.level}: ${shortPeers(effect.message)}`];
    default:
      return unreachable(effect);
  }
}

function doneText({ oldVoters, newVoters }: Extract<Effect, { type: 'done' }>): string {
  if (oldVoters === undefined || newVoters === undefined) return '';
  return ` ${lettersOf(oldVoters)} -> ${lettersOf(newVoters)}`;
}

function roleText(effect: RoleChanged): string {
  const { previousRole, role, term, leader, reason } = effect;
  const change = previousRole === role ? role : `${previousRole} -> ${role}`;
  const whom = leader === undefined ? '-' : letterOf(leader);
  return `${change}, term ${String(term)}, leader ${whom} (${shortPeers(reason.text)})`;
}

const ticketText = (ticket: number): string => `ticket ${String(ticket)}`;

function refusalText(refusal: Refusal): string {
  const outcome = refusal.outcome === 'unknown' ? ', outcome unknown' : '';
  const leader = refusal.leader === undefined ? '' : `, leader ${letterOf(refusal.leader)}`;
  return `${refusal.code} ${shortPeers(refusal.text)}${leader}${outcome}`;
}

import type { handleUnaryCall } from '@grpc/grpc-js';
import type * as wire from '../../../proto/gen/raft/v1/cli.ts';
import { LogIndex } from '../core/ids.ts';
import type { Incarnation, PeerId } from '../core/ids.ts';
import { membersOf } from '../core/configuration.ts';
import { ANY_PEER, parsePeerId, peerFields } from '../core/peer-id.ts';
import { RaftError } from '../error.ts';
import type { ChangeGuard, MembershipResult, NodeApi } from '../node/node-api.ts';
import { statusToWire } from './cli-status.ts';
import { unaryHandler } from './raft-service.ts';
import type { SharedSecret } from './shared-secret.ts';

/** Ids of operations stay in the log and in every configuration that follows. */
const OPERATION_ID_LENGTH_MAX = 256;
const PEERS_MAX = 100;

/** What the admin service needs to know. */
export type CliServiceOptions = {
  /** All nodes of a group in this process. */
  readonly findNodes: (group: string) => readonly AdministeredNode[];
  /** Refuses everything but GetLeader with EACCES (braft disable_cli). */
  readonly disabled: boolean;
  /** Asked of every caller but those who look for the leader or the members; absent: of none. */
  readonly secret?: SharedSecret | undefined;
  /** Of the program. */
  readonly version: string;
  /** Sets the disk of a node that is no member aside and stops the server; absent: cannot be done. */
  readonly joinFresh?: (group: string, old: Incarnation) => Promise<void>;
};

/** A node as the admin service uses it: it proposes nothing, so the context does not matter. */
export type AdministeredNode = Omit<NodeApi<unknown>, 'apply'>;

/** The handlers of raft.v1.CliService, after braft's cli_service.cpp. */
export function cliService(options: CliServiceOptions) {
  const guarded = guardedBy(options, options.secret);
  const find = (group: string, id: string | undefined): AdministeredNode =>
    findNode(options, group, id);
  return {
    ...membershipHandlers(guarded, find),
    ...nodeHandlers(guarded, find),
    ...inspectionHandlers(options, find),
    ...diskHandlers(options, find),
    getLeader: unaryHandler(async (request: wire.GetLeaderRequest) => {
      await Promise.resolve();
      return knownLeader(options, request);
    }),
  };
}

type Guarded = <Request, Response>(
  serve: (request: Request) => Promise<Response>,
) => handleUnaryCall<Request, Response>;
type Find = (group: string, id: string | undefined) => AdministeredNode;

function guardedBy({ disabled }: CliServiceOptions, secret?: SharedSecret): Guarded {
  return (serve) =>
    unaryHandler(async (request) => {
      if (disabled) throw new RaftError('EACCES', 'the admin service is disabled (disable_cli)');
      return serve(request);
    }, secret);
}

function membershipHandlers(guarded: Guarded, find: Find) {
  return {
    addPeer: guarded(async ({ groupId, leaderId, peerId, guard }: wire.AddPeerRequest) =>
      changed(await find(groupId, leaderId).addPeer(member(peerId), guardFrom(guard))),
    ),
    removePeer: guarded(async ({ groupId, leaderId, peerId, guard }: wire.RemovePeerRequest) =>
      changed(await find(groupId, leaderId).removePeer(member(peerId), guardFrom(guard))),
    ),
    changePeers: guarded(async ({ groupId, leaderId, newPeers, guard }: wire.ChangePeersRequest) =>
      changed(await find(groupId, leaderId).changePeers(peerSet(newPeers), guardFrom(guard))),
    ),
    addLearner: guarded(async ({ groupId, leaderId, peerId, guard }: wire.AddLearnerRequest) => {
      await find(groupId, leaderId).addLearner(member(peerId), guardFrom(guard));
      return {};
    }),
    removeLearner: guarded(
      async ({ groupId, leaderId, peerId, guard }: wire.RemoveLearnerRequest) => {
        await find(groupId, leaderId).removeLearner(member(peerId), guardFrom(guard));
        return {};
      },
    ),
    promoteLearner: guarded(
      async ({ groupId, leaderId, peerId, guard }: wire.PromoteLearnerRequest) => {
        await find(groupId, leaderId).promoteLearner(member(peerId), guardFrom(guard));
        return {};
      },
    ),
    claimOperator: guarded(async ({ groupId, leaderId, guard }: wire.ClaimOperatorRequest) => {
      await find(groupId, leaderId).claimOperator(guardFrom(guard));
      return {};
    }),
    resetPeer: guarded(async ({ groupId, peerId, newPeers }: wire.ResetPeerRequest) => {
      await find(groupId, peerId).resetPeers(peerSet(newPeers));
      return {};
    }),
  };
}

function nodeHandlers(guarded: Guarded, find: Find) {
  return {
    snapshot: guarded(async ({ groupId, peerId }: wire.SnapshotRequest) => {
      await find(groupId, peerId).snapshot();
      return {};
    }),
    transferLeader: guarded(async ({ groupId, leaderId, peerId }: wire.TransferLeaderRequest) => {
      await find(groupId, leaderId).transferLeadershipTo(transferTarget(peerId));
      return {};
    }),
    campaign: guarded(async ({ groupId, peerId, electionTimeoutMs }: wire.CampaignRequest) => {
      const node = find(groupId, peerId);
      const kept = electionTimeoutMs === 0;
      await node.vote(kept ? node.status().electionTimeoutMs : electionTimeoutMs);
      return {};
    }),
    setReadonly: guarded(async ({ groupId, peerId, readonly }: wire.SetReadonlyRequest) => {
      const node = find(groupId, peerId);
      await (readonly ? node.enterReadonlyMode() : node.leaveReadonlyMode());
      return {};
    }),
  };
}

function inspectionHandlers(options: CliServiceOptions, find: Find) {
  const guarded = guardedBy(options, options.secret);
  // As open as GetLeader: clients of the counters learn from it who came and who went.
  const open = guardedBy(options);
  return {
    listPeers: open(({ groupId, peerId }: wire.ListPeersRequest) =>
      Promise.resolve().then(() => listedPeers(find(groupId, peerId))),
    ),
    getStatus: guarded(async ({ groupId, peerId, linearizable }: wire.GetStatusRequest) => {
      const node = find(groupId, peerId);
      if (linearizable) await node.readIndex();
      return statusToWire(node.status(), options.version);
    }),
  };
}

/** What concerns the disk of a server that is no member yet, or no longer. */
function diskHandlers(options: CliServiceOptions, find: Find) {
  const guarded = guardedBy(options, options.secret);
  return {
    bootstrap: guarded(async ({ groupId, peerId, clusterId }: wire.BootstrapRequest) => {
      const node = find(groupId, peerId);
      await node.bootstrap(clusterId);
      return { incarnation: node.status().identity.incarnation };
    }),
    joinFresh: guarded(async ({ groupId, peerId, oldIncarnation }: wire.JoinFreshRequest) => {
      const node = find(groupId, peerId);
      checkMayLeave(node, oldIncarnation);
      if (options.joinFresh === undefined) {
        throw new RaftError('EINVAL', 'this server cannot set its disk aside');
      }
      await options.joinFresh(groupId, node.status().identity.incarnation);
      return {};
    }),
  };
}

/** @throws RaftError unless `old` is the disk of this node and the group does without it. */
function checkMayLeave(node: AdministeredNode, old: string): void {
  const { identity, state, leader, configuration, committedConfigurationIndex } = node.status();
  if (old !== identity.incarnation) {
    const text = `the incarnation of this disk is ${identity.incarnation}, not "${old}"`;
    throw new RaftError('ESTALE', `${text}; nothing was changed`);
  }
  if (state === 'leader' || state === 'transferring') {
    throw new RaftError('EPERM', 'this server leads its group: remove it from the group first');
  }
  const settled = configuration.index === committedConfigurationIndex;
  const removed = settled && !membersOf(configuration.configuration).has(node.peer);
  if (removed || leader === undefined) return;
  const text = `this server is a member of the group that ${leader} leads, or is becoming one`;
  throw new RaftError('EPERM', `${text}: remove it first`);
}

/** The node meant: the named one, or the only one of the group (braft get_node). */
function findNode(
  { findNodes }: CliServiceOptions,
  group: string,
  id: string | undefined,
): AdministeredNode {
  const nodes = findNodes(group);
  if (id !== undefined && id !== '') {
    const peer = required(id);
    const node = nodes.find((candidate) => samePeer(candidate.peer, peer));
    if (node !== undefined) return node;
    throw new RaftError('ENOENT', `no node ${peer} of group "${group}" on this server`);
  }
  const [node] = nodes;
  if (node === undefined) {
    throw new RaftError('ENOENT', `no node of group "${group}" on this server`);
  }
  if (nodes.length > 1) {
    throw new RaftError(
      'EINVAL',
      `several nodes of group "${group}" here: name one by its peer id`,
    );
  }
  return node;
}

/** The first leader that any of the nodes knows (braft CliServiceImpl::get_leader). */
function knownLeader(
  options: CliServiceOptions,
  request: wire.GetLeaderRequest,
): wire.GetLeaderResponse {
  const { groupId, peerId } = request;
  const named = peerId !== undefined && peerId !== '';
  const nodes = named ? [findNode(options, groupId, peerId)] : options.findNodes(groupId);
  if (nodes.length === 0) {
    throw new RaftError('ENOENT', `no node of group "${groupId}" on this server`);
  }
  for (const node of nodes) {
    const leader = node.leaderId();
    if (leader === undefined) continue;
    const { configuration } = node.status().configuration;
    return { leaderId: leader, members: [...membersOf(configuration)] };
  }
  throw new RaftError('EAGAIN', 'Unknown leader');
}

function listedPeers(node: AdministeredNode): wire.ListPeersResponse {
  const peers = [...node.listPeers()];
  const { configuration, leader } = node.status();
  const { outgoing, learners } = configuration.configuration;
  return {
    peers,
    outgoingPeers: [...(outgoing ?? [])],
    learners: [...learners],
    configurationIndex: configuration.index,
    leaderId: leader ?? '',
  };
}

function transferTarget(peerId: string | undefined): PeerId | 'any' {
  if (peerId === undefined || peerId === '') return 'any';
  return required(peerId) === ANY_PEER ? 'any' : member(peerId);
}

function required(text: string): PeerId {
  const parsed = parsePeerId(text);
  if (!parsed.ok) throw new RaftError('EINVAL', parsed.reason);
  return parsed.peer;
}

/** A peer that is, or may become, a member. */
function member(text: string): PeerId {
  const peer = required(text);
  const { port, role } = peerFields(peer);
  if (port === 0) throw new RaftError('EINVAL', `${peer}: the port must not be 0`);
  if (role === 'replica') return peer;
  throw new RaftError('EINVAL', `${peer}: witnesses (role 1) are not supported; use role 0`);
}

function peerSet(texts: readonly string[]): ReadonlySet<PeerId> {
  if (texts.length === 0) throw new RaftError('EINVAL', 'the new set of peers is empty');
  if (texts.length > PEERS_MAX) {
    throw new RaftError('EINVAL', `${texts.length} peers; a group may have ${PEERS_MAX}`);
  }
  const peers = new Set(texts.map(member));
  if (peers.size < texts.length) throw new RaftError('EINVAL', 'the same peer is listed twice');
  return peers;
}

function guardFrom(guard: wire.ChangeGuard | undefined): ChangeGuard {
  if (guard === undefined) return {};
  const { expectedConfigurationIndex: expected, fence, operationId } = guard;
  if ((expected ?? 0) < 0 || (fence ?? 0) < 0) {
    throw new RaftError('EINVAL', 'an expected configuration index or a fence is not negative');
  }
  if ((operationId ?? '').length > OPERATION_ID_LENGTH_MAX) {
    const text = `the operation id has more than ${OPERATION_ID_LENGTH_MAX} characters`;
    throw new RaftError('EINVAL', text);
  }
  return {
    ...(expected !== undefined && { expectedConfigurationIndex: LogIndex(expected) }),
    ...(fence !== undefined && { fence }),
    ...(operationId !== undefined && operationId !== '' && { operationId }),
  };
}

function changed({ oldVoters, newVoters }: MembershipResult): wire.AddPeerResponse {
  return { oldPeers: [...oldVoters], newPeers: [...newVoters] };
}

/** The role does not take part in who is who (braft PeerId::operator==). */
function samePeer(a: PeerId, b: PeerId): boolean {
  return a.slice(0, a.lastIndexOf(':')) === b.slice(0, b.lastIndexOf(':'));
}

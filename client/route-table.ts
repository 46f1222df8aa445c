import type { PeerId } from '../server/raft/core/ids.ts';
import { parsePeerId, parsePeers } from '../server/raft/core/peer-id.ts';

/** What became of an update: done, refused with a reason, or of no concern (group not registered). */
export type RouteUpdate =
  | { readonly type: 'updated' }
  | { readonly type: 'ignored' }
  | { readonly type: 'invalid'; readonly reason: string }
  | { readonly type: 'notMember'; readonly peer: PeerId };

/** braft's select_leader: 0 with a leader, -1 for an unknown group, 1 for an unknown leader. */
export type LeaderSelection =
  | { readonly type: 'leader'; readonly peer: PeerId }
  | { readonly type: 'groupUnknown' }
  | { readonly type: 'leaderUnknown' };

type Route = {
  configured: ReadonlySet<PeerId>;
  /** What members said about the membership; replaced as a whole by each newer answer. */
  advertised: ReadonlySet<PeerId>;
  leader: PeerId | undefined;
};

const UPDATED: RouteUpdate = { type: 'updated' };
const IGNORED: RouteUpdate = { type: 'ignored' };

/**
 * Which peers a group has and who leads it (braft RouteTable). Does no I/O of its own: whoever asks
 * the peers reports here what they said.
 */
export class RouteTable {
  readonly #routes = new Map<string, Route>();

  /**
   * Registers a group or replaces its configured peers (braft update_configuration: an empty or
   * unreadable list is refused; a leader that is no longer a member is forgotten).
   */
  updateConfiguration(group: string, conf: string): RouteUpdate {
    const parsed = parsePeers(conf);
    if (!parsed.ok) return { type: 'invalid', reason: parsed.reason };
    if (parsed.peers.size === 0) return { type: 'invalid', reason: 'the list of servers is empty' };
    const route = this.#routes.get(group);
    if (route === undefined) {
      this.#routes.set(group, {
        configured: parsed.peers,
        advertised: new Set(),
        leader: undefined,
      });
      return UPDATED;
    }
    route.configured = parsed.peers;
    this.#forgetForeignLeader(route);
    return UPDATED;
  }

  /** Notes the members that a member listed; unreadable ids among them are left out. */
  advertise(group: string, peers: Iterable<string>): RouteUpdate {
    const route = this.#routes.get(group);
    if (route === undefined) return IGNORED;
    const advertised = new Set<PeerId>();
    for (const text of peers) {
      const parsed = parsePeerId(text);
      if (parsed.ok) advertised.add(parsed.peer);
    }
    route.advertised = advertised;
    this.#forgetForeignLeader(route);
    return UPDATED;
  }

  /**
   * Notes the leader (braft update_leader: empty text forgets it, an unregistered group is ignored,
   * an unreadable id is refused). Unlike braft, only a configured or advertised member is accepted:
   * a redirect must not lead to a stranger.
   */
  updateLeader(group: string, leader: string): RouteUpdate {
    const route = this.#routes.get(group);
    if (route === undefined) return IGNORED;
    if (leader === '') {
      route.leader = undefined;
      return UPDATED;
    }
    const parsed = parsePeerId(leader);
    if (!parsed.ok) return { type: 'invalid', reason: parsed.reason };
    if (!isMember(route, parsed.peer)) return { type: 'notMember', peer: parsed.peer };
    route.leader = parsed.peer;
    return UPDATED;
  }

  selectLeader(group: string): LeaderSelection {
    const route = this.#routes.get(group);
    if (route === undefined) return { type: 'groupUnknown' };
    if (route.leader === undefined) return { type: 'leaderUnknown' };
    return { type: 'leader', peer: route.leader };
  }

  /** Whether a configured or advertised peer of the group is this one. */
  isMember(group: string, peer: PeerId): boolean {
    const route = this.#routes.get(group);
    return route !== undefined && isMember(route, peer);
  }

  /**
   * Whom to ask for the leader, in order (braft refresh_leader asks the configuration in order):
   * configured peers first, then those known only from other members' answers.
   */
  refreshPlan(group: string): readonly PeerId[] {
    const route = this.#routes.get(group);
    if (route === undefined) return [];
    const plan = new Map<string, PeerId>();
    for (const peer of [...route.configured, ...route.advertised]) {
      if (!plan.has(keyOf(peer))) plan.set(keyOf(peer), peer);
    }
    return [...plan.values()];
  }

  /** Forgets a group (braft remove_group); false if it was not registered. */
  removeGroup(group: string): boolean {
    return this.#routes.delete(group);
  }

  #forgetForeignLeader(route: Route): void {
    if (route.leader !== undefined && !isMember(route, route.leader)) route.leader = undefined;
  }
}

/** Whether two ids name the same member: the role does not take part (braft PeerId equality). */
export function samePeer(one: PeerId, other: PeerId): boolean {
  return keyOf(one) === keyOf(other);
}

function isMember(route: Route, peer: PeerId): boolean {
  const key = keyOf(peer);
  for (const known of route.configured) if (keyOf(known) === key) return true;
  for (const known of route.advertised) if (keyOf(known) === key) return true;
  return false;
}

function keyOf(peer: PeerId): string {
  return peer.slice(0, peer.lastIndexOf(':'));
}

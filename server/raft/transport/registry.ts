import type { PeerId } from '../core/ids.ts';
import type { PeerAnnouncement, Receiver } from './transport.ts';
import type { Hello } from './wire-frame.ts';

type Registration = {
  readonly group: string;
  readonly peer: PeerId;
  readonly announcement: PeerAnnouncement;
  readonly receiver: Receiver;
};

/** The nodes of this process that take part in a transport, by group and peer. */
export class Registry {
  readonly #byGroup = new Map<string, Map<PeerId, Registration>>();
  readonly #changed: () => void;

  /** `changed` is called when a node comes or goes: greetings name all nodes. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  add(registration: Registration): () => void {
    const { group, peer } = registration;
    const members = this.#byGroup.get(group) ?? new Map<PeerId, Registration>();
    this.#byGroup.set(group, members.set(peer, registration));
    this.#changed();
    return () => {
      if (members.get(peer) !== registration) return;
      members.delete(peer);
      this.#changed();
    };
  }

  receiverOf(group: string, peer: PeerId): Receiver | undefined {
    return this.#byGroup.get(group)?.get(peer)?.receiver;
  }

  /** What this process says of itself; its versions are those that all its nodes share. */
  hello(): Hello {
    const all = [...this.#byGroup.values()].flatMap((members) => [...members.values()]);
    const announcements = all.map(({ announcement }) => announcement);
    return {
      formatVersionMin: Math.max(0, ...announcements.map((each) => each.formatVersionMin)),
      formatVersionMax:
        all.length === 0 ? 0 : Math.min(...announcements.map((each) => each.formatVersionMax)),
      nodes: all.map(({ group, peer, announcement }) => ({
        group,
        peer,
        incarnation: announcement.incarnation,
      })),
    };
  }

  /** Tells the nodes of each announced group which members greeted. */
  announce({ nodes, formatVersionMin, formatVersionMax }: Hello): void {
    for (const { group, peer, incarnation } of nodes) {
      const announcement = { incarnation, formatVersionMin, formatVersionMax };
      for (const local of [...(this.#byGroup.get(group)?.values() ?? [])]) {
        if (local.peer !== peer) local.receiver.announced(peer, announcement);
      }
    }
  }
}

/**
 * Why two processes cannot talk: no format version that both know. Undefined when they can, or
 * when one has no node yet and thus no version.
 */
export function incompatibility(ours: Hello, theirs: Hello): string | undefined {
  if (ours.formatVersionMax === 0 || theirs.formatVersionMax === 0) return undefined;
  const newestOfBoth = Math.min(ours.formatVersionMax, theirs.formatVersionMax);
  if (newestOfBoth >= Math.max(ours.formatVersionMin, theirs.formatVersionMin)) return undefined;
  return (
    `format versions ${versions(theirs)} cannot be combined with ours, ${versions(ours)}: ` +
    'upgrade the older server'
  );
}

function versions({ formatVersionMin, formatVersionMax }: Hello): string {
  return `${formatVersionMin} to ${formatVersionMax}`;
}

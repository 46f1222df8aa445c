import type { Incarnation, LogIndex, PeerId, Term } from './ids.ts';
import type { Configuration, ConfigurationRecord, IndexedConfiguration } from './membership.ts';

/** A stable configuration of voters alone, nobody bound to a disk yet (§6). */
export function configurationOf(voters: ReadonlySet<PeerId>): Configuration {
  return { voters, learners: new Set(), incarnations: new Map() };
}

/** What a group starts from before its first CONFIGURATION entry (braft initial_conf). */
export function initialRecord(voters: ReadonlySet<PeerId>): ConfigurationRecord {
  return { configuration: configurationOf(voters), fence: 0, operations: [], formatVersion: 1 };
}

/** Whether `peer` votes, in either half of a joint configuration (§6). */
export function isVoter(configuration: Configuration, peer: PeerId): boolean {
  return configuration.voters.has(peer) || configuration.outgoing?.has(peer) === true;
}

/** All members: voters of both halves, then learners. */
export function membersOf(configuration: Configuration): ReadonlySet<PeerId> {
  const { voters, outgoing, learners } = configuration;
  return new Set([...voters, ...(outgoing ?? []), ...learners]);
}

/**
 * Whether an answer of `peer` from the disk `incarnation` may be counted: the member must be bound
 * to that disk, or not bound yet.
 */
export function isBoundTo(
  configuration: Configuration,
  peer: PeerId,
  incarnation: Incarnation,
): boolean {
  const bound = configuration.incarnations.get(peer);
  return bound === undefined || bound === incarnation;
}

/** What reset_peers puts in the place of `latest`: other voters, and disks bound as far as known. */
export function resetRecord(
  latest: ConfigurationRecord,
  voters: ReadonlySet<PeerId>,
  self: { readonly id: PeerId; readonly incarnation: Incarnation },
): ConfigurationRecord {
  const { configuration, fence, formatVersion } = latest;
  const fresh = initialRecord(voters);
  const kept = [...configuration.incarnations].filter(([peer]) => voters.has(peer));
  // Disks that found a group together know nothing of each other: they start unbound, as with
  // initial_conf, or each would refuse the others.
  const founds = configuration.voters.size === 0;
  const incarnations = new Map(founds ? [] : [...kept, [self.id, self.incarnation] as const]);
  return {
    ...fresh,
    fence,
    formatVersion,
    configuration: { ...fresh.configuration, incarnations },
  };
}

/** The same configuration with disks bound that were not, and nobody bound who is no member. */
export function bindMembers(
  configuration: Configuration,
  incarnationOf: (peer: PeerId) => Incarnation | undefined,
): Configuration {
  const incarnations = new Map<PeerId, Incarnation>();
  for (const peer of membersOf(configuration)) {
    const incarnation = configuration.incarnations.get(peer) ?? incarnationOf(peer);
    if (incarnation !== undefined) incarnations.set(peer, incarnation);
  }
  return { ...configuration, incarnations };
}

/** How many voters differ: more than one needs joint consensus (§6; dissertation §4.3). */
export function votersChanged(a: ReadonlySet<PeerId>, b: ReadonlySet<PeerId>): number {
  const missingFrom = (x: ReadonlySet<PeerId>, y: ReadonlySet<PeerId>): number =>
    [...x].filter((peer) => !y.has(peer)).length;
  return missingFrom(a, b) + missingFrom(b, a);
}

/**
 * The configurations along the log (braft ConfigurationManager). The newest one in the log is in
 * force from its append on, and the one before it again when it is truncated (§6).
 */
export class ConfigurationHistory {
  #entries: IndexedConfiguration[];
  /**
   * Set by reset_peers: in force on this node alone until the log holds a configuration of
   * `sinceTerm` or later. What the log brings of older terms belongs to the history left behind.
   */
  #override: { readonly record: ConfigurationRecord; readonly sinceTerm: Term } | undefined;
  /** Where the log took over from the override. */
  #resumedAt: LogIndex | undefined;

  /** `base` is what the snapshot or initial_conf gives; `entries` follow it in the log. */
  constructor(base: IndexedConfiguration, entries: readonly IndexedConfiguration[]) {
    this.#entries = [base, ...entries.filter((entry) => entry.index > base.index)];
  }

  /** The configuration in force. */
  latest(): IndexedConfiguration {
    const newest = this.#entryAt(this.#entries.length - 1);
    if (this.#override === undefined || this.#resumedAt !== undefined) return newest;
    return { ...this.#override.record, index: newest.index };
  }

  /** The configuration in force at `index`, as a snapshot at `index` must record it. */
  at(index: LogIndex): IndexedConfiguration {
    return this.#entries.findLast((entry) => entry.index <= index) ?? this.#entryAt(0);
  }

  /** The configuration in force at `index` and all that follow it, up to the one in force now. */
  since(index: LogIndex): readonly IndexedConfiguration[] {
    if (this.isOverridden()) return [this.latest()];
    const base = this.at(index);
    return [base, ...this.#entries.filter((entry) => entry.index > base.index)];
  }

  /** The newest stable configuration at or below `commitIndex`. */
  committedStable(commitIndex: LogIndex): IndexedConfiguration {
    const stable = this.#entries.findLast(
      ({ index, configuration }) => index <= commitIndex && configuration.outgoing === undefined,
    );
    return stable ?? this.#entryAt(0);
  }

  append(entry: IndexedConfiguration, term: Term): void {
    this.#entries.push(entry);
    this.#follows(entry.index, term);
  }

  /** Undoes configurations from `index` on. Returns whether any was undone. */
  truncateFrom(index: LogIndex): boolean {
    const kept = this.#entries.filter((entry, position) => position === 0 || entry.index < index);
    const undone = kept.length < this.#entries.length;
    this.#entries = kept;
    if (this.#resumedAt !== undefined && this.#resumedAt >= index) this.#resumedAt = undefined;
    return undone;
  }

  /** Forgets what lies before the configuration in force at `index`. */
  compactTo(index: LogIndex): void {
    const base = this.at(index);
    this.#entries = [base, ...this.#entries.filter((entry) => entry.index > base.index)];
  }

  /** A snapshot whose last entry is of `term` replaced the log: its configuration is the base (§7). */
  restart(base: IndexedConfiguration, term: Term, keepAfter: LogIndex): void {
    this.#entries = [base, ...this.#entries.filter((entry) => entry.index > keepAfter)];
    if (this.#resumedAt !== undefined && this.#resumedAt <= keepAfter) this.#resumedAt = undefined;
    this.#follows(base.index, term);
  }

  /** Puts `record` in force until the log holds a configuration of `sinceTerm` or later. */
  override(record: ConfigurationRecord, sinceTerm: Term): void {
    this.#override = { record, sinceTerm };
    this.#resumedAt = undefined;
  }

  /** Takes an override back: what the log says is in force again. */
  endOverride(): void {
    this.#override = undefined;
  }

  /** Whether reset_peers has put a configuration in force that no log entry here has replaced. */
  isOverridden(): boolean {
    return this.#override !== undefined && this.#resumedAt === undefined;
  }

  /** A leader opens its term with the configuration it knows: of that term, it is the new one. */
  #follows(index: LogIndex, term: Term): void {
    if (this.#override === undefined || term < this.#override.sinceTerm) return;
    this.#resumedAt ??= index;
  }

  #entryAt(position: number): IndexedConfiguration {
    const entry = this.#entries[position];
    if (entry === undefined) throw new RangeError(`no configuration at ${String(position)}`);
    return entry;
  }
}

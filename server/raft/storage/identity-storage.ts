import type { Incarnation, Lineage, PeerId, Term } from '../core/ids.ts';

/** A reset that is planned for several disks at once: the same words on each. */
export type ResetOrder = {
  /** Names the plan. */
  readonly planHash: string;
  readonly lineage: Lineage;
  readonly voters: readonly PeerId[];
  /** Above every term that one of the disks has seen: all that is written later has a later one. */
  readonly term: Term;
};

/**
 * Who this disk is (identity.json): drawn once, synced before the first message. Ours, beside
 * braft's files.
 */
export type Identity = {
  /** Which cluster the disk belongs to; empty until told. Another cluster's requests are refused. */
  readonly clusterId: string;
  readonly group: string;
  readonly peer: string;
  readonly incarnation: Incarnation;
  /** The history the disk holds; undefined until the first leader's append or the first start. */
  readonly lineage: Lineage | undefined;
  /**
   * The disk has been addressed by its incarnation or stands in a configuration it holds: from then
   * on it refuses requests that do not name its incarnation.
   */
  readonly bound: boolean;
  /** May vote and campaign: started with initial_state=new, adopted, reset, or addressed. */
  readonly joined: boolean;
  /**
   * The last reset_peers of this disk: its voters are in force until the log holds a configuration
   * of `term` or later. Undefined: there was none.
   */
  readonly reset:
    | {
        readonly voters: readonly PeerId[];
        readonly term: Term;
        /** Of a planned reset: the plan, and the history that it left behind. */
        readonly planned?: { readonly planHash: string; readonly from: Lineage };
      }
    | undefined;
  /** A planned reset that waits for its commit or its end: until then the node talks to nobody. */
  readonly prepared: ResetOrder | undefined;
  /** Newest format version this directory has been written with. */
  readonly formatVersion: number;
};

export type IdentityStorage = {
  readonly current: () => Identity;
  /** Merges `changes` and resolves once durable. @throws RaftError EIO. */
  update(changes: Partial<Omit<Identity, 'incarnation'>>): Promise<void>;
};

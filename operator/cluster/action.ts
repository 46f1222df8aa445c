/** The one side effect of a pass. Each can be repeated, and does nothing when it was done. */
export type Action =
  /**
   * Writes the id of a cluster that is about to begin into status, before anything else: a new one
   * unless one is given.
   */
  | { readonly type: 'recordClusterId'; readonly clusterId?: string }
  | { readonly type: 'createStatefulSet'; readonly replicas: number }
  | { readonly type: 'setReplicas'; readonly replicas: number }
  | { readonly type: 'bootstrap'; readonly clusterId: string }
  | { readonly type: 'claimFence'; readonly fence: number; readonly configurationIndex: number }
  | { readonly type: 'joinFresh'; readonly ordinal: number; readonly incarnation: string }
  | {
      readonly type: 'changePeers';
      /** Ordinals of the new voters. */
      readonly voters: readonly number[];
      readonly configurationIndex: number;
      readonly fence: number;
    }
  | { readonly type: 'transferLeader'; readonly to: number }
  | { readonly type: 'applyTemplate' }
  /** Puts an older revision back in force and notes the template that failed. */
  | { readonly type: 'rollBack'; readonly revision: string; readonly failedTemplate: string }
  | { readonly type: 'evictPod'; readonly ordinal: number; readonly uid: string }
  | { readonly type: 'deletePod'; readonly ordinal: number; readonly uid: string }
  | { readonly type: 'quarantineClaim'; readonly ordinal: number; readonly uid: string }
  | { readonly type: 'releaseClaim'; readonly ordinal: number; readonly uid: string }
  | { readonly type: 'deleteClaim'; readonly ordinal: number; readonly uid: string }
  /** Asks for a larger volume. */
  | {
      readonly type: 'growClaim';
      readonly ordinal: number;
      readonly uid: string;
      readonly size: string;
    }
  /** Its pods stay, and belong to the StatefulSet that the next pass creates. */
  | { readonly type: 'orphanPods'; readonly uid: string };

export type OperationType =
  | 'Bootstrap'
  | 'ScaleUp'
  | 'ScaleDown'
  | 'Replace'
  | 'Roll'
  | 'RollBack'
  | 'Repair'
  | 'Hibernate'
  | 'Grow';

/** What comes next, and why nothing does. */
export type Plan = {
  readonly action?: Action;
  readonly operation?: { readonly type: OperationType; readonly message: string };
  readonly stalled?: {
    readonly reason:
      | 'ForeignDisks'
      | 'LineageInconsistent'
      | 'RolloutFailed'
      | 'QuorumLost'
      | 'OperatorConflict'
      | 'ForeignObject'
      | 'Refused';
    readonly message: string;
  };
  /** Look again after this long even if nothing is heard. */
  readonly requeueAfterMs: number;
};

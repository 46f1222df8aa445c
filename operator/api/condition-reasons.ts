/**
 * Every condition of an AtomicCluster with every reason it can have, and what each means: the one
 * list behind status, events, metrics and the reference documentation.
 */
export const CONDITIONS = {
  Ready: {
    meaning: 'A leader serves, and every member is there, takes part and runs what spec asks for.',
    reasons: {
      Running: 'Everything is as the spec asks.',
      Creating: 'The group does not exist yet.',
      Scaling: 'Members are being added or removed.',
      Rolling: 'Members are being restarted with a new version or settings.',
      Replacing: 'A member that lost its disk is being replaced.',
      MembersMissing: 'Some members do not take part.',
      NoLeader: 'No member leads with a quorum behind it.',
      QuorumLost: 'A majority of the members has been gone for longer than the grace period.',
      Hibernated: 'The pods are off by spec.hibernate; disks and membership are kept.',
      Paused: 'spec.paused stops the operator; what is seen may be out of date.',
      Stalled: 'The operator cannot go on by itself; the condition Stalled says why.',
      Unknown: 'The operator could not look.',
    },
  },
  Available: {
    meaning: 'A leader has just been confirmed by a quorum: reads and writes are served.',
    reasons: {
      Leader: 'A leader answered a linearizable read.',
      NoLeader: 'No member leads with a quorum behind it.',
      Creating: 'The group does not exist yet.',
      Hibernated: 'The pods are off by spec.hibernate.',
      Unknown: 'The operator could not look.',
    },
  },
  Degraded: {
    meaning: 'Fewer members may fail now than the size of the group is meant for.',
    reasons: {
      AllMembersParticipate: 'Every voter takes part.',
      MembersMissing: 'Some voters do not take part.',
      ToleranceZero: 'A group of one or two voters stands no failure.',
      NoLeader: 'No member leads with a quorum behind it.',
      Creating: 'The group does not exist yet.',
      Hibernated: 'The pods are off by spec.hibernate.',
      Unknown: 'The operator could not look.',
    },
  },
  Reconciling: {
    meaning: 'The operator is changing something, or waits for its effect (kstatus).',
    reasons: {
      Converged: 'Nothing is left to do.',
      Operation: 'An operation is under way; status.operation says which.',
      Waiting: 'An operation waits at a gate; the message says which and since when.',
      Paused: 'spec.paused stops the operator.',
      Stalled: 'The operator cannot go on by itself.',
    },
  },
  Stalled: {
    meaning: 'The operator cannot go on by itself (kstatus).',
    reasons: {
      Progressing: 'Nothing is in the way.',
      SpecInvalid: 'The spec contradicts itself.',
      ForeignDisks: 'Disks of another cluster were found under the names of this one.',
      LineageInconsistent: 'Members belong to different clusters or histories.',
      RolloutFailed: 'The first member with the new template did not take part in time.',
      QuorumLost: 'A majority is gone for longer than the grace period; a person must decide.',
      OperatorConflict: 'Another operator has claimed this cluster.',
      ForeignObject: 'An object of a name that the cluster needs belongs to somebody else.',
      Refused: 'Kubernetes refused an object that the spec asks for.',
    },
  },
  QuorumLost: {
    meaning: 'A majority of the voters has been gone for longer than the grace period.',
    reasons: {
      QuorumPresent: 'A quorum takes part.',
      MajorityMissing: 'Too few voters take part; nothing destructive is done.',
      NotYet: 'No leader is known, but not for long enough to call it lost.',
      Hibernated: 'The pods are off by spec.hibernate.',
      Creating: 'The group does not exist yet.',
    },
  },
  LineageConsistent: {
    meaning: 'All disks belong to one cluster and one history of it.',
    reasons: {
      OneHistory: 'All disks that were seen agree.',
      TwoHistories: 'Disks of different clusters or histories were seen.',
      Unknown: 'No disk could be seen.',
    },
  },
  MembersUpToDate: {
    meaning: 'All pods run what the spec asks for.',
    reasons: {
      UpToDate: 'All pods run the current revision.',
      Outdated: 'Some pods run an older revision.',
      RolledBack: 'The last revision failed; the one before it is in force.',
      Unknown: 'The StatefulSet has not been looked at by its controller yet.',
    },
  },
  StorageReady: {
    meaning: 'Every member has its volume, of the size that the spec asks for.',
    reasons: {
      Bound: 'All volumes are bound.',
      Pending: 'Some volumes are not bound yet.',
      Growing: 'Volumes are being grown, or wait for it; the message says which and for what.',
      GrowthRefused:
        'Kubernetes refuses to grow volumes: the storage class must allow it, the quota have room.',
      Unknown: 'No volume could be seen.',
    },
  },
  SpreadDegraded: {
    meaning: 'The loss of one node would lose the quorum.',
    reasons: {
      Spread: 'No node holds enough voters to lose the quorum.',
      OneNode: 'One node holds so many voters that its loss would lose the quorum.',
    },
  },
  Monitored: {
    meaning: 'A ServiceMonitor tells Prometheus of the members.',
    reasons: {
      Made: 'The ServiceMonitor is as it should be.',
      Disabled: 'The spec asks for none.',
      NotServed: 'Kubernetes does not know the kind: the Prometheus operator is not installed.',
      ForeignObject: 'A ServiceMonitor of this name belongs to somebody else.',
      Refused: 'Kubernetes refused the ServiceMonitor.',
      Unknown: 'The operator has not looked yet.',
    },
  },
  Paused: {
    meaning: 'spec.paused stops the operator.',
    reasons: {
      Paused: 'The operator only watches.',
      Active: 'The operator works.',
    },
  },
  Hibernated: {
    meaning: 'The pods are off; disks and membership are kept.',
    reasons: {
      Hibernated: 'All pods are gone.',
      Hibernating: 'Pods are being stopped.',
      Awake: 'The cluster runs.',
    },
  },
} as const satisfies Readonly<
  Record<string, { readonly meaning: string; readonly reasons: Readonly<Record<string, string>> }>
>;

export type ConditionType = keyof typeof CONDITIONS;

/** The reasons that one condition may have. */
export type ReasonOf<T extends ConditionType> = keyof (typeof CONDITIONS)[T]['reasons'] & string;

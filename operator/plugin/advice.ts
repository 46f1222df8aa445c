import type { Plan } from '../cluster/action.ts';
import type { Observed, PodView } from '../cluster/observed.ts';
import { claimName, podName } from '../resources/names.ts';

type StalledReason = NonNullable<Plan['stalled']>['reason'];

/** What a person can do where the operator cannot go on by itself. */
const FOR_STALLED: Readonly<Record<StalledReason, (observed: Observed) => string>> = {
  ForeignDisks: () => 'take the volumes over by the annotation, or delete them to begin anew',
  LineageInconsistent: ({ name }) =>
    `find out which disk is the strange one (kubectl atomic status ${name}) and take it away`,
  RolloutFailed: ({ namespace, name }) =>
    `correct spec.version or what else was changed: kubectl edit ac/${name} -n ${namespace}`,
  QuorumLost: () =>
    'bring the nodes and volumes of a majority back; as long as one may come back, delete nothing',
  OperatorConflict: () =>
    'leave one operator for the namespace: kubectl get deploy -A -l app.kubernetes.io/name=atomic-operator',
  ForeignObject: () => 'delete or rename the object, or give the AtomicCluster another name',
  Refused: () => 'mend what Kubernetes refuses; its words are above',
};

/** What a person can do, the most effective first; nothing where waiting is all. */
export function adviceFor(observed: Observed, stalled: string | undefined): readonly string[] {
  const { spec, name, namespace } = observed;
  const forStalled = FOR_STALLED[stalled as StalledReason] as
    ((observed: Observed) => string) | undefined;
  return [
    ...(spec.paused
      ? [`let the operator work: kubectl atomic resume ${name} -n ${namespace}`]
      : []),
    ...(spec.hibernate ? [`start the pods: kubectl atomic wake ${name} -n ${namespace}`] : []),
    ...(forStalled === undefined ? [] : [forStalled(observed)]),
    ...observed.pods.flatMap((pod) => podAdvice(observed, pod)),
    ...observed.claims.flatMap(({ ordinal, bound, lost }) => {
      const claim = claimName(name, ordinal);
      if (lost)
        return `${claim} has lost its volume, or the node of it: bring it back, or wait until the member is replaced`;
      return bound
        ? []
        : `see why ${claim} is not bound: kubectl describe pvc ${claim} -n ${namespace}`;
    }),
  ];
}

function podAdvice({ name, namespace }: Observed, pod: PodView): readonly string[] {
  const { ordinal, deleting, trouble, report, node } = pod;
  const known = podName(name, ordinal);
  const of = `${known} -n ${namespace}`;
  if (deleting && report === undefined && node !== undefined) {
    return [
      `if node ${node} is gone for good, delete it: kubectl delete node ${node}; if it is off, taint it: kubectl taint node ${node} node.kubernetes.io/out-of-service=:NoExecute`,
    ];
  }
  if (deleting) return [];
  if (trouble !== undefined) return [`see why ${known} does not run: kubectl describe pod ${of}`];
  if (report === undefined) return [`see what its server says: kubectl logs ${of}`];
  return [];
}

import { conditionOf } from '../api/condition.ts';
import type { Plan } from '../cluster/action.ts';
import { noteOf } from '../cluster/action-note.ts';
import { adviceFor } from './advice.ts';
import { conditionsAmiss } from './amiss.ts';
import { findCluster } from './clusters.ts';
import { eventsOf, type Told } from './events.ts';
import { lookAt, type Look } from './look.ts';
import { missingEvidence } from './missing-evidence.ts';
import type { PluginPorts } from './ports.ts';
import { Rights, unseenText } from './rights.ts';
import { durationText, tableText, type Column } from './text.ts';
import type { Terminal } from './terminal.ts';

export type ExplainFlags = { readonly output: 'text' | 'json' };

/** Why a cluster is not, or not yet, what its spec asks for. */
type Explanation = {
  readonly namespace: string;
  readonly name: string;
  readonly status: string;
  /** What holds it up, in the operator's words; empty when nothing does. */
  readonly gates: readonly Gate[];
  /** What the operator would do now, by its own plan on what is seen from here, if it is another. */
  readonly next: string | undefined;
  /** What it would have to see. */
  readonly missing: readonly string[];
  /** What a person can do. */
  readonly advice: readonly string[];
  readonly events: readonly Told[];
  readonly unseen: readonly string[];
};

type Gate = { readonly what: string; readonly message: string; readonly since: string | undefined };

/** `kubectl atomic explain`: which gate blocks what, since when, and what is missing. */
export async function explain(
  name: string,
  { output }: ExplainFlags,
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  const cluster = await findCluster(name, ports);
  const look = await lookAt(cluster, ports, { volumes: true });
  const rights = new Rights();
  const events = await eventsOf(cluster, ports, rights);
  const found = explanationOf(
    look,
    events,
    [...look.missingRights, ...rights.missing].map(unseenText),
  );
  if (output === 'json') terminal.print(JSON.stringify(found, undefined, 2));
  else terminal.print(explanationText(found, ports.clock.wallTime().getTime()));
}

function explanationOf(
  look: Look,
  events: readonly Told[],
  unseen: readonly string[],
): Explanation {
  const { cluster, observed, plan, isWhole } = look;
  const { namespace, name } = observed;
  const ready = conditionOf(cluster.status, 'Ready');
  const told = { namespace, name, status: ready?.reason ?? 'Unknown', gates: gatesOf(look) };
  const advice = operatorAdvice(look);
  // Whoever could not read the objects would explain what is not so.
  if (!isWhole) return { ...told, next: undefined, missing: [], advice, events, unseen };
  const missing = missingEvidence(observed);
  const next = nextOf(name, plan);
  const isKnown = told.gates.some(({ message }) => message === next);
  const more = adviceFor(observed, stalledReason(look));
  return {
    ...told,
    next: isKnown ? undefined : next,
    missing,
    advice: [...advice, ...more],
    events,
    unseen,
  };
}

function stalledReason({ cluster, plan }: Look): string | undefined {
  const stalled = conditionOf(cluster.status, 'Stalled');
  return stalled?.status === 'True' ? stalled.reason : plan.stalled?.reason;
}

/** The operation first, then whatever the conditions say beyond it. */
function gatesOf({ cluster: { status } }: Look): readonly Gate[] {
  const { operation, conditions = [] } = status ?? {};
  const waits = conditions.some(
    ({ type, reason }) => type === 'Reconciling' && reason === 'Waiting',
  );
  const first: readonly Gate[] =
    operation === undefined
      ? []
      : [
          {
            what: `${operation.type}${waits ? ' waits' : ''}`,
            message: operation.message,
            since: operation.startedAt,
          },
        ];
  const others = [
    ...conditions.filter(({ type, status: is }) => HOLDING.has(type) && is === 'True'),
    ...conditionsAmiss(conditions),
  ].map(({ type, reason, message, lastTransitionTime }) => ({
    ...{ what: `${type} (${reason})`, message, since: lastTransitionTime },
  }));
  return [...first, ...others];
}

/** Conditions by which a person has stopped things. */
const HOLDING: ReadonlySet<string> = new Set(['Paused', 'Hibernated']);

function nextOf(name: string, { action, operation, stalled }: Plan): string | undefined {
  if (action !== undefined) return noteOf(name, action, operation);
  return stalled?.message ?? operation?.message;
}

function operatorAdvice({ cluster: { metadata, status } }: Look): readonly string[] {
  const look = 'kubectl get pods -A -l app.kubernetes.io/name=atomic-operator';
  if (status === undefined) return [`see whether the operator runs: ${look}`];
  const { observedGeneration = 0 } = status;
  if (observedGeneration === metadata.generation) return [];
  return [`the operator has not seen the newest spec; see whether it runs: ${look}`];
}

const EVENTS: readonly Column<Told & { readonly age: string }>[] = [
  { name: 'AGE', cell: ({ age }) => age },
  { name: 'TYPE', cell: ({ type }) => type },
  { name: 'REASON', cell: ({ reason }) => reason },
  { name: 'OBJECT', cell: ({ object }) => object },
  { name: 'MESSAGE', cell: ({ note, count }) => (count > 1 ? `${note} (${count} times)` : note) },
];

function explanationText(found: Explanation, nowMs: number): string {
  const { namespace, name, status, gates, next, missing, advice, events, unseen } = found;
  const isCalm = gates.length === 0 && next === undefined;
  const calm = 'nothing is waited for, everything is as the spec asks';
  const aged = events.map((one) => ({ ...one, age: durationText(nowMs - one.atMs) }));
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ['what holds it up', gates.map((gate) => gateText(gate, nowMs))],
    [
      'what the operator would do next, by what is seen from here',
      next === undefined ? [] : [next],
    ],
    ['what is missing', isCalm ? [] : missing],
    ['what you can do', advice],
    ['what happened', events.length === 0 ? [] : tableText(EVENTS, aged)],
    ['what could not be seen', unseen],
  ];
  return [
    `${namespace}/${name}: ${status}${isCalm ? `, ${calm}` : ''}`,
    ...sections
      .filter(([, lines]) => lines.length > 0)
      .flatMap(([title, lines]) => ['', title, ...lines.map((line) => `  ${line}`)]),
  ].join('\n');
}

function gateText({ what, message, since }: Gate, nowMs: number): string {
  const age = since === undefined ? '' : `, for ${durationText(nowMs - Date.parse(since))}`;
  return `${what}${age}: ${message}`;
}

import type { Observed } from '../cluster/observed.ts';
import { findCluster } from './clusters.ts';
import { PluginError } from './failure.ts';
import { lookAt, type Goal, type Look } from './look.ts';
import type { PluginPorts } from './ports.ts';
import { canI, unseenText } from './rights.ts';
import { tableText, type Column } from './text.ts';
import type { Terminal } from './terminal.ts';
import { whatIf, type Step, type WhatIf } from './what-if/what-if.ts';

export type PlanFlags = Goal & { readonly output: 'text' | 'json' };

/** `kubectl atomic plan`: what the operator would do, step by step. Writes nothing. */
export async function showPlan(
  name: string,
  flags: PlanFlags,
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  const { output, replicas, version } = flags;
  const cluster = await findCluster(name, ports);
  const look = await lookAt(cluster, ports, { volumes: true, goal: { replicas, version } });
  mustBeWhole(look);
  const { observed } = look;
  const notes = notesOf(look);
  if (observed.spec.hibernate) {
    const wake = `kubectl atomic wake ${name}`;
    throw new PluginError(`${name} hibernates, nothing can be said before it runs: ${wake}`);
  }
  const found = whatIf({ ...observed, spec: { ...observed.spec, paused: false } });
  if (output === 'json') {
    const { steps, blockedBy } = found;
    terminal.print(JSON.stringify({ steps, blockedBy: blockedBy ?? null, notes }, undefined, 2));
  } else terminal.print(planText(observed, found, notes));
}

function mustBeWhole({ isWhole, missingRights, observed }: Look): void {
  if (isWhole) return;
  const commands = missingRights.map(canI).join('; ');
  throw new PluginError(
    `a plan of ${observed.name} needs to see its StatefulSet, pods and volumes; ask for what these tell is missing: ${commands}`,
  );
}

/** What a person must know about the plan. */
function notesOf({ observed, pages, missingRights, cluster }: Look): readonly string[] {
  const { spec } = observed;
  return [
    ...(spec.paused ? ['spec.paused is set: nothing of it happens before it is resumed'] : []),
    ...(spec.updateStrategy.type === 'OnDelete'
      ? ['updateStrategy is OnDelete: pods get a new template when somebody deletes them']
      : []),
    ...(pages.read.size === 0
      ? ['no status page could be read: members are as the operator has noted them']
      : []),
    ...missingRights.map(unseenText),
    ...(cluster.status === undefined ? ['the operator has not looked at it yet'] : []),
  ];
}

type Row = Step & { readonly number: number | undefined };

const COLUMNS: readonly Column<Row>[] = [
  { name: 'STEP', cell: ({ number }) => number ?? 'wait', right: true },
  { name: 'OPERATION', cell: ({ operation }) => operation },
  { name: 'ACTION', cell: ({ action }) => action?.replace(/^./, (first) => first.toUpperCase()) },
  { name: 'WHAT', cell: ({ message }) => message },
  { name: 'LEADER', cell: ({ leader }) => leader },
  { name: 'VOTERS', cell: ({ voters }) => voters, right: true },
  { name: 'TOLERANCE', cell: toleranceText, right: true },
];

/** In its course, then after it. */
function toleranceText({ tolerance, toleranceMeanwhile }: Step): string | undefined {
  if (tolerance === undefined) return undefined;
  if (toleranceMeanwhile === undefined || toleranceMeanwhile === tolerance)
    return String(tolerance);
  const during = toleranceMeanwhile < 0 ? 'outage' : String(toleranceMeanwhile);
  return `${during}, then ${String(tolerance)}`;
}

function planText(
  { namespace, name, spec, status }: Observed,
  { steps, blockedBy }: WhatIf,
  notes: readonly string[],
): string {
  const version = spec.version ?? status.version;
  const of = version === undefined ? '' : ` of version ${version}`;
  const members = spec.replicas === 1 ? '1 member' : `${String(spec.replicas)} members`;
  const head = `${namespace}/${name}: to ${members}${of}`;
  let acts = 0;
  const rows = steps.map((step) => ({
    ...step,
    number: step.type === 'act' ? ++acts : undefined,
  }));
  const end = endText(acts, steps.at(-1)?.message, blockedBy);
  const table = rows.length === 0 ? [] : ['', ...tableText(COLUMNS, rows)];
  return [head, ...table, '', end, ...notes.map((note) => `note: ${note}`)].join('\n');
}

function endText(acts: number, last: string | undefined, blockedBy: string | undefined): string {
  if (blockedBy !== undefined) {
    const stop = `after ${stepsText(acts)} it would wait for as long as that lasts`;
    return blockedBy === last ? stop : `${stop}, and then: ${blockedBy}`;
  }
  const all = acts === 0 ? 'nothing is left to do' : `${stepsText(acts)}, if nothing else happens`;
  return `${all}; nothing was written`;
}

function stepsText(count: number): string {
  return count === 1 ? '1 step' : `${String(count)} steps`;
}

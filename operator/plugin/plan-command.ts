import type { Observed } from '../cluster/observed.ts';
import { findCluster } from './clusters.ts';
import { PluginError } from './failure.ts';
import { lookAt, type Goal, type Look } from './look.ts';
import type { PluginPorts } from './ports.ts';
import { canI } from './rights.ts';
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
  const blind = missingRights.map(canI);
  return [
    ...(spec.paused ? ['spec.paused is set: nothing of it happens before it is resumed'] : []),
    ...(spec.updateStrategy.type === 'OnDelete'
      ? ['updateStrategy is OnDelete: pods get a new template when somebody deletes them']
      : []),
    ...(pages.read.size === 0
      ? ['no status page could be read: members are as the operator has noted them']
      : []),
    ...(blind.length > 0 ? [`not everything could be seen: ${blind.join('; ')}`] : []),
    ...(cluster.status === undefined ? ['the operator has not looked at it yet'] : []),
  ];
}

type Row = Step & { readonly number: number | undefined };

const COLUMNS: readonly Column<Row>[] = [
  { name: 'STEP', cell: ({ number }) => number ?? 'wait', right: true },
  { name: 'OPERATION', cell: ({ operation }) => operation },
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
  const head = `${namespace}/${name}: to ${String(spec.replicas)} members${of}`;
  let acts = 0;
  const rows = steps.map((step) => ({
    ...step,
    number: step.type === 'act' ? ++acts : undefined,
  }));
  const end =
    blockedBy === undefined
      ? `${acts === 0 ? 'nothing is left to do' : `${String(acts)} steps, if nothing else happens`}; nothing was written`
      : `it would stop here, after ${String(acts)} steps: ${blockedBy}`;
  const table = rows.length === 0 ? [] : ['', ...tableText(COLUMNS, rows)];
  return [head, ...table, '', end, ...notes.map((note) => `note: ${note}`)].join('\n');
}

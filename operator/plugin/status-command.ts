import { conditionOf } from '../api/condition.ts';
import type { AtomicClusterObject } from '../cluster/kubernetes-objects.ts';
import { delay } from '../controller/clock.ts';
import { findCluster, listClusters } from './clusters.ts';
import { endOf, PluginError } from './failure.ts';
import { known } from './known.ts';
import { lookAt } from './look.ts';
import { pictureOf, type Picture } from './picture.ts';
import { eventLines, listText, pictureText, type SummaryRow } from './picture-text.ts';
import type { PluginPorts } from './ports.ts';
import type { Terminal } from './terminal.ts';

const LOOK_AGAIN_MS = 1_000;
const CANNOT_LOOK = '\n\nas it was last; cannot look: ';

export type StatusFlags = {
  readonly allNamespaces?: boolean;
  readonly watch?: boolean;
  readonly output: 'text' | 'json';
};

/** What is shown at one moment: one group, or a list of many. */
type View = {
  readonly json: unknown;
  readonly text: string;
  /** What changes on events, for an output that cannot be drawn anew. */
  readonly lines: readonly string[];
  /** Why it could not be looked at; `text` then has what was seen last, too. */
  readonly failure?: string;
};

/** `kubectl atomic status`: one group as a picture, many as a list; with -w as long as it is wanted. */
export async function showStatus(
  name: string | undefined,
  flags: StatusFlags,
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  const look = () => viewOf(name, flags, ports);
  if (flags.watch === true) await watch(look, flags, { ports, terminal });
  else {
    const { json, text } = await look();
    terminal.print(flags.output === 'json' ? JSON.stringify(json, undefined, 2) : text);
  }
}

async function viewOf(
  name: string | undefined,
  { allNamespaces = false }: StatusFlags,
  ports: PluginPorts,
): Promise<View> {
  if (name !== undefined) return pictureView(await findCluster(name, ports), ports);
  const clusters = await listClusters(ports, allNamespaces ? undefined : ports.namespace);
  const [only, ...others] = clusters;
  if (only !== undefined && others.length === 0) return pictureView(only, ports);
  if (only === undefined) throw new PluginError(nothingText(allNamespaces, ports.namespace));
  const rows = clusters.map(summaryOf);
  const text = listText(rows);
  return { json: { items: rows }, text, lines: text.split('\n').slice(1) };
}

function nothingText(everywhere: boolean, namespace: string): string {
  return everywhere
    ? 'there is no AtomicCluster in any namespace'
    : `there is no AtomicCluster in namespace ${namespace}: give another one with -n, or -A for all`;
}

async function pictureView(cluster: AtomicClusterObject, ports: PluginPorts): Promise<View> {
  const picture: Picture = pictureOf(await lookAt(cluster, ports));
  const text = pictureText(picture, ports.clock.wallTime());
  return { json: picture, text, lines: eventLines(picture) };
}

function summaryOf({ metadata, status = {} }: AtomicClusterObject): SummaryRow {
  const { leader, term, voters, quorum, faultTolerance, version, operation } = status;
  const ready = conditionOf(status, 'Ready');
  return {
    ...{ namespace: metadata.namespace ?? '', name: metadata.name },
    ...{ status: ready?.reason ?? 'Unknown', participating: status.readyReplicas ?? 0 },
    ...known({ leader, term, voters, quorum, faultTolerance, version, operation }),
  };
}

async function watch(
  look: () => Promise<View>,
  { output }: StatusFlags,
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  // The first look fails like any other command: before the screen is taken.
  let seen = await look();
  let view = seen;
  const stop = terminal.stopSignal();
  const screen = output === 'json' ? undefined : terminal.openScreen?.();
  const print = output === 'json' ? jsonPrinter(terminal) : linePrinter(terminal, ports);
  const show =
    screen === undefined
      ? print
      : ({ text }: View) => {
          screen.draw(text);
        };
  try {
    while (!stop.aborted) {
      show(view);
      await delay(ports.clock, LOOK_AGAIN_MS, stop);
      view = await lookAgain(look, seen);
      if (view.failure === undefined) seen = view;
    }
  } finally {
    screen?.close();
  }
  if (screen !== undefined) terminal.print(view.text);
}

/** Whoever watches wants to see it come back; till then what was `seen` last stays. */
async function lookAgain(look: () => Promise<View>, seen: View): Promise<View> {
  try {
    return await look();
  } catch (error) {
    const end = endOf(error);
    if (end === undefined) throw error;
    const { message: failure } = end;
    const lines = [`cannot look: ${failure}`];
    return {
      json: { error: failure },
      text: `${seen.text}${CANNOT_LOOK}${failure}`,
      lines,
      failure,
    };
  }
}

/** A document a line, whenever something has changed. */
function jsonPrinter({ print }: Terminal): (view: View) => void {
  let last = '';
  return ({ json }) => {
    const text = JSON.stringify(json);
    if (text !== last) print(text);
    last = text;
  };
}

/** Lines with the time, those alone that are new. */
function linePrinter({ print }: Terminal, { clock }: PluginPorts): (view: View) => void {
  let last: readonly string[] = [];
  return ({ lines }) => {
    const time = `${clock.wallTime().toISOString().slice(0, 19)}Z`;
    for (const line of lines) if (!last.includes(line)) print(`${time} ${line}`);
    last = lines;
  };
}

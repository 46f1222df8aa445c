import { conditionOf } from '../api/condition.ts';
import { ApiError } from '../controller/api-error.ts';
import { SERVICE_MONITORS } from '../resources/resource-types.ts';
import { serviceMonitor } from '../resources/service-monitor.ts';
import type { Attempts } from './attempts.ts';
import type { Monitored, Observed } from './observed.ts';
import {
  ForeignObject,
  isControlledBy,
  keepObject,
  LeavingObject,
  type OwnerTools,
} from './ownership.ts';

/** What is not watched is looked at so often: the kind may be served by then, the object gone. */
const LOOK_AGAIN_MS = 300_000;

/** What nobody wants and could not be removed yet. */
const LEFT = 'none';

/** What became of the ServiceMonitor when it was last looked at. */
export type MonitorMemory = {
  readonly wanted: string;
  readonly monitored: Monitored | undefined;
  readonly lookAgainMs: number;
};

const GONE: MonitorMemory = { wanted: '', monitored: undefined, lookAgainMs: 0 };

/**
 * Makes the ServiceMonitor that the spec asks for, or removes it. A cluster that does not know the
 * kind, or refuses it, is no reason for anything else to stop: that is told.
 */
export async function keepServiceMonitor(
  observed: Observed,
  known: MonitorMemory | undefined,
  tools: OwnerTools & { readonly attempts: Attempts; readonly nowMs: number },
): Promise<MonitorMemory> {
  const { monitoring } = observed.spec;
  const { owner, nowMs } = tools;
  const isWanted = monitoring.serviceMonitor === 'Enabled';
  const object = serviceMonitor(observed, owner);
  const wanted = isWanted ? JSON.stringify(object) : '';
  if (known?.wanted === wanted && (!isWanted || nowMs < known.lookAgainMs)) return known;
  if (!isWanted) {
    const mayExist = known?.monitored?.reason === 'Made' || wasMade(observed);
    return mayExist ? withoutMonitor(observed, tools) : GONE;
  }
  const monitored = await make(object, tools);
  const lookAgainMs = monitored === undefined ? nowMs : nowMs + LOOK_AGAIN_MS;
  return { wanted, monitored, lookAgainMs };
}

/** What could not be removed is still remembered, and tried again. */
async function withoutMonitor(
  observed: Observed,
  tools: OwnerTools & { readonly attempts: Attempts; readonly nowMs: number },
): Promise<MonitorMemory> {
  const { attempts, nowMs: lookAgainMs } = tools;
  const what = `ServiceMonitor ${observed.name}`;
  await attempts.write(what, () => remove(observed, tools));
  const monitored = { reason: 'Made', message: '' } as const;
  return attempts.troubles.has(what) ? { wanted: LEFT, monitored, lookAgainMs } : GONE;
}

/** Undefined while that of a former cluster is about to go. */
async function make(
  object: ReturnType<typeof serviceMonitor>,
  tools: OwnerTools,
): Promise<Monitored | undefined> {
  try {
    // It is not watched: what there is must be asked for.
    const live = await tools.api.get(SERVICE_MONITORS, object.metadata);
    await keepObject({ type: SERVICE_MONITORS, object }, live, tools);
    return { reason: 'Made', message: 'the ServiceMonitor tells Prometheus of all members' };
  } catch (error) {
    if (error instanceof LeavingObject) return undefined;
    if (error instanceof ForeignObject) return { reason: 'ForeignObject', message: error.message };
    if (!(error instanceof ApiError) || error.isConflict) throw error;
    if (error.code !== 404) return { reason: 'Refused', message: error.message };
    const advice =
      'install the Prometheus operator, or set spec.monitoring.serviceMonitor: Disabled';
    return { reason: 'NotServed', message: `there is no monitoring.coreos.com/v1: ${advice}` };
  }
}

async function remove({ namespace, name }: Observed, { api, owner }: OwnerTools): Promise<void> {
  const key = { namespace, name };
  const live = await api.get(SERVICE_MONITORS, key);
  if (live === undefined || !isControlledBy(live, owner.uid)) return;
  const { uid = '' } = live.metadata;
  await api.delete(SERVICE_MONITORS, key, { preconditions: { uid } });
}

/** The status still tells what an operator before this one has made. */
function wasMade({ status }: Observed): boolean {
  return conditionOf(status, 'Monitored')?.status === 'True';
}

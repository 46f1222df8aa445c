import type { KubernetesApi } from '../controller/api-client.ts';
import { ApiError } from '../controller/api-error.ts';
import type { OwnerReference } from '../controller/kubernetes-object.ts';
import { OPERATOR } from '../resources/names.ts';
import { SERVICE_MONITORS } from '../resources/resource-types.ts';
import { serviceMonitor } from '../resources/service-monitor.ts';
import { isOwnedBy } from './maintain.ts';
import type { Monitored, Observed } from './observed.ts';
import { isContained } from './upkeep.ts';

/** What is not watched is looked at so often: the kind may be served by then, the object gone. */
const LOOK_AGAIN_MS = 300_000;

/** What became of the ServiceMonitor when it was last looked at. */
export type MonitorMemory = {
  readonly wanted: string;
  readonly monitored: Monitored | undefined;
  readonly lookAgainMs: number;
};

/**
 * Makes the ServiceMonitor that the spec asks for, or removes it. A cluster that does not know the
 * kind, or refuses it, is no reason for anything else to stop: that is told.
 */
export async function keepServiceMonitor(
  observed: Observed,
  known: MonitorMemory | undefined,
  {
    api,
    owner,
    nowMs,
  }: { readonly api: KubernetesApi; readonly owner: OwnerReference; readonly nowMs: number },
): Promise<MonitorMemory> {
  const { monitoring } = observed.spec;
  const isWanted = monitoring.serviceMonitor === 'Enabled';
  const object = serviceMonitor(observed, owner);
  const wanted = isWanted ? JSON.stringify(object) : '';
  if (known?.wanted === wanted && (!isWanted || nowMs < known.lookAgainMs)) return known;
  const lookAgainMs = nowMs + LOOK_AGAIN_MS;
  if (!isWanted) {
    if (known?.monitored?.reason === 'Made' || wasMade(observed))
      await remove(observed, { api, owner });
    return { wanted, monitored: undefined, lookAgainMs };
  }
  return { wanted, monitored: await make(object, api), lookAgainMs };
}

async function make(
  object: ReturnType<typeof serviceMonitor>,
  api: KubernetesApi,
): Promise<Monitored> {
  try {
    const live = await api.get(SERVICE_MONITORS, object.metadata);
    if (!isContained(object, live)) {
      await api.apply(SERVICE_MONITORS, object, { fieldManager: OPERATOR });
    }
    return { reason: 'Made', message: 'the ServiceMonitor tells Prometheus of all members' };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code !== 404) return { reason: 'Refused', message: error.message };
    const advice =
      'install the Prometheus operator, or set spec.monitoring.serviceMonitor: Disabled';
    return { reason: 'NotServed', message: `there is no monitoring.coreos.com/v1: ${advice}` };
  }
}

async function remove(
  { namespace, name }: Observed,
  { api, owner }: { readonly api: KubernetesApi; readonly owner: OwnerReference },
): Promise<void> {
  const key = { namespace, name };
  const live = await api.get(SERVICE_MONITORS, key);
  if (isOwnedBy(live, owner)) await api.delete(SERVICE_MONITORS, key);
}

/** The status still tells what an operator before this one has made. */
function wasMade({ status }: Observed): boolean {
  return (
    status.conditions?.some((one) => one.type === 'Monitored' && one.status === 'True') ?? false
  );
}

import { isDeepStrictEqual } from 'node:util';
import type { KubernetesApi } from './api-client.ts';
import type { KubernetesObject, ResourceType } from './kubernetes-object.ts';

/** A condition as Kubernetes' API conventions have it. */
export type Condition = {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration?: number | undefined;
  /** When `status` took its present value. */
  readonly lastTransitionTime: string;
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
};

export type NewCondition = Omit<Condition, 'lastTransitionTime'>;

/** `current` with the times of those in `old` whose status is the same; `now` for the others. */
export function mergeConditions(
  old: readonly Condition[],
  current: readonly NewCondition[],
  now: string,
): readonly Condition[] {
  return current.map((condition) => {
    const before = old.find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status;
    return { ...condition, lastTransitionTime: isSame ? before.lastTransitionTime : now };
  });
}

/**
 * Makes `status` the whole status of an object; writes nothing when it is that already. Returns
 * the object as the server has it then: pass that to the next call.
 *
 * @throws ApiError, a conflict when the object is not the newest: look again first.
 */
export async function writeStatus<T extends KubernetesObject & { readonly status?: unknown }>(
  api: Pick<KubernetesApi, 'patch'>,
  {
    type,
    object,
    status,
    fieldManager,
  }: {
    readonly type: ResourceType;
    readonly object: T;
    readonly status: NonNullable<T['status']>;
    readonly fieldManager: string;
  },
): Promise<T> {
  const wanted = plain(status);
  const present = plain(object.status ?? {});
  if (isDeepStrictEqual(present, wanted)) return object;
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const key = { name, ...(namespace !== undefined && { namespace }) };
  const body = {
    metadata: { uid, resourceVersion },
    status: withNulls(present, wanted),
  };
  return api.patch<T>(type, key, { body, subresource: 'status', fieldManager });
}

/** `wanted` with a null for each field that only `present` has: a merge patch deletes those. */
function withNulls(present: unknown, wanted: unknown): unknown {
  if (!isMap(present) || !isMap(wanted)) return wanted;
  const gone = Object.keys(present).filter((name) => !(name in wanted));
  return Object.fromEntries([
    ...gone.map((name): [string, unknown] => [name, null]),
    ...Object.entries(wanted).map(([name, value]): [string, unknown] => [
      name,
      withNulls(present[name], value),
    ]),
  ]);
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What arrives at the server: fields that are undefined do not. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

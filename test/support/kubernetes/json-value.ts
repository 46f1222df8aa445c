/** A JSON object as the fake API server holds it. */
export type JsonMap = { readonly [name: string]: unknown };

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `map` without some of its fields. */
export function without(map: JsonMap, ...names: readonly string[]): JsonMap {
  return Object.fromEntries(Object.entries(map).filter(([name]) => !names.includes(name)));
}

/** What a JSON merge patch makes of `target` (RFC 7396). */
export function mergePatched(target: unknown, patch: unknown): unknown {
  if (!isMap(patch)) return patch;
  const result: Record<string, unknown> = isMap(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    if (value === null) Reflect.deleteProperty(result, name);
    else result[name] = mergePatched(result[name], value);
  }
  return result;
}

/** Leaves of a value by their path; a list is a leaf, and so is a map without fields. */
export function leavesOf(value: unknown, path: readonly string[] = []): Map<string, unknown> {
  if (!isMap(value) || (Object.keys(value).length === 0 && path.length > 0)) {
    return new Map([[JSON.stringify(path), value]]);
  }
  const leaves = Object.entries(value).filter(([, field]) => field !== undefined);
  return new Map(leaves.flatMap(([name, field]) => [...leavesOf(field, [...path, name])]));
}

/** `target` without the leaf at `path`, nor the maps that held nothing else. */
export function withoutLeaf(target: JsonMap, path: readonly string[]): JsonMap {
  const [name, ...rest] = path;
  if (name === undefined || !(name in target)) return target;
  const { [name]: inner, ...others } = target;
  if (rest.length === 0 || !isMap(inner)) return others;
  const remaining = withoutLeaf(inner, rest);
  return Object.keys(remaining).length === 0 ? others : { ...others, [name]: remaining };
}

/** A copy nobody can change, without fields that are undefined. */
export function frozenCopy<T>(value: T): T {
  return frozen(JSON.parse(JSON.stringify(value))) as T;
}

function frozen(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const field of Object.values(value)) frozen(field);
  return Object.freeze(value);
}

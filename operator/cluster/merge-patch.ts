/**
 * What a merge patch (RFC 7386) must say so that `live` becomes `wanted` and keeps nothing else.
 * Defaults are taken out, too: the API server puts them in again.
 */
export function replacement(wanted: unknown, live: unknown): unknown {
  if (!isMap(wanted) || !isMap(live)) return wanted;
  const surplus = Object.keys(live).filter((name) => !Object.hasOwn(wanted, name));
  return {
    ...Object.fromEntries(surplus.map((name) => [name, null])),
    ...Object.fromEntries(
      Object.entries(wanted).map(([name, value]) => [name, replacement(value, live[name])]),
    ),
  };
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

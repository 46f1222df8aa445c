import { isDeepStrictEqual } from 'node:util';
import { isMap, leavesOf, mergePatched, without, withoutLeaf, type JsonMap } from './json-value.ts';

/** Fields that an applied configuration names without owning them. */
const IDENTITY = ['name', 'namespace', 'uid', 'resourceVersion'];
const TYPE = ['apiVersion', 'kind'];

/** Who owns which leaf of one object, after the rules of server-side apply, lists as one leaf. */
export class FieldOwnership {
  readonly #owners = new Map<string, Set<string>>();

  /** `live` after `manager` applied `applied`, or the leaf that another manager would lose. */
  apply(
    live: JsonMap,
    applied: JsonMap,
    { manager, force }: { readonly manager: string; readonly force: boolean },
  ): { readonly object: JsonMap } | { readonly conflict: string; readonly owner: string } {
    const configuration = ownable(applied);
    const wanted = leavesOf(configuration);
    const present = leavesOf(live);
    for (const [path, value] of wanted) {
      if (isDeepStrictEqual(present.get(path), value)) continue;
      const owner = [...this.#of(path)].find((other) => other !== manager);
      if (owner !== undefined && !force) return { conflict: path, owner };
      this.#owners.set(path, new Set());
    }
    let object = live;
    for (const [path, owners] of this.#owners) {
      if (!owners.has(manager) || wanted.has(path)) continue;
      owners.delete(manager);
      if (owners.size === 0) object = withoutLeaf(object, JSON.parse(path) as string[]);
    }
    for (const path of wanted.keys()) this.#owners.set(path, this.#of(path).add(manager));
    return { object: mergePatched(object, configuration) as JsonMap };
  }

  /** Gives what `manager` changed by other means to it alone. */
  changed(before: JsonMap, after: JsonMap, manager: string): void {
    const old = leavesOf(ownable(before));
    const current = leavesOf(ownable(after));
    for (const path of old.keys()) if (!current.has(path)) this.#owners.delete(path);
    for (const [path, value] of current) {
      if (!isDeepStrictEqual(old.get(path), value)) this.#owners.set(path, new Set([manager]));
    }
  }

  /** A copy, for a dry run. */
  clone(): FieldOwnership {
    const copy = new FieldOwnership();
    for (const [path, owners] of this.#owners) copy.#owners.set(path, new Set(owners));
    return copy;
  }

  #of(path: string): Set<string> {
    return this.#owners.get(path) ?? new Set();
  }
}

function ownable(object: JsonMap): JsonMap {
  const metadata = isMap(object['metadata']) ? object['metadata'] : {};
  return { ...without(object, ...TYPE), metadata: without(metadata, ...IDENTITY) };
}

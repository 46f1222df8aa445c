import { keyText, type KubernetesObject } from './kubernetes-object.ts';

/** The values under which an index finds an object. */
export type Index<T> = (object: T) => readonly string[];

/** What happened to one object; without `current` it was deleted. */
export type Change<T> = { readonly old: T | undefined; readonly current: T | undefined };

export type KeyedChange<T> = Change<T> & { readonly key: string };

/**
 * Objects of one kind by `namespace/name` and by secondary indexes. `metadata.managedFields` is
 * left out: it is most of an object's size and nobody reads it.
 */
export class ObjectStore<T extends KubernetesObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes: ReadonlyMap<string, Index<T>>;
  /** By index name, then by value. */
  readonly #keys: ReadonlyMap<string, Map<string, Set<string>>>;

  constructor(indexes: Readonly<Record<string, Index<T>>> = {}) {
    this.#indexes = new Map(Object.entries(indexes));
    this.#keys = new Map(Object.keys(indexes).map((name) => [name, new Map()]));
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  has(key: string): boolean {
    return this.#objects.has(key);
  }

  list(): readonly T[] {
    return [...this.#objects.values()];
  }

  /** @throws RangeError when there is no index of that name. */
  byIndex(name: string, value: string): readonly T[] {
    const index = this.#keys.get(name);
    if (index === undefined) throw new RangeError(`the store has no index named ${name}`);
    return [...(index.get(value) ?? [])].flatMap((key) => this.#objects.get(key) ?? []);
  }

  /** Keeps `object` in place of what had its key. */
  set(object: T): KeyedChange<T> {
    const key = keyText(object.metadata);
    const current = withoutManagedFields(object);
    const old = this.delete(key);
    this.#objects.set(key, current);
    for (const [name, values] of this.#keys) {
      for (const value of this.#indexes.get(name)?.(current) ?? []) {
        const keys = values.get(value);
        if (keys === undefined) values.set(value, new Set([key]));
        else keys.add(key);
      }
    }
    return { key, old, current };
  }

  /** Forgets an object and returns what it was. */
  delete(key: string): T | undefined {
    const old = this.#objects.get(key);
    if (old === undefined) return undefined;
    this.#objects.delete(key);
    for (const [name, values] of this.#keys) {
      for (const value of this.#indexes.get(name)?.(old) ?? []) {
        const keys = values.get(value);
        keys?.delete(key);
        if (keys?.size === 0) values.delete(value);
      }
    }
    return old;
  }

  /** Keeps exactly `objects` and tells what changed by that. */
  replace(objects: readonly T[]): readonly KeyedChange<T>[] {
    const present = new Set(objects.map(({ metadata }) => keyText(metadata)));
    const gone = [...this.#objects.keys()].filter((key) => !present.has(key));
    const deleted = gone.map((key) => ({ key, old: this.delete(key), current: undefined }));
    const others = objects.filter((object) => {
      const known = this.#objects.get(keyText(object.metadata));
      return !isSameVersion(known, object);
    });
    return [...deleted, ...others.map((object) => this.set(object))];
  }
}

function isSameVersion(a: KubernetesObject | undefined, b: KubernetesObject): boolean {
  return (
    a?.metadata.resourceVersion !== undefined &&
    a.metadata.uid === b.metadata.uid &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}

function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  if (!('managedFields' in object.metadata)) return object;
  return { ...object, metadata: { ...object.metadata, managedFields: undefined } };
}

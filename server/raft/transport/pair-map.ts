import type { PeerId } from '../core/ids.ts';

/** Two nodes of a group. */
export type Pair = { readonly group: string; readonly from: PeerId; readonly to: PeerId };

/** A map by two nodes of a group. Nested, since joining texts to a key costs more than looking up. */
export class PairMap<Value> {
  readonly #values = new Map<string, Map<PeerId, Map<PeerId, Value>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ group, from, to }: Pair): Value | undefined {
    return this.#values.get(group)?.get(from)?.get(to);
  }

  set({ group, from, to }: Pair, value: Value): void {
    const ofGroup = this.#values.get(group) ?? new Map<PeerId, Map<PeerId, Value>>();
    const ofSender = ofGroup.get(from) ?? new Map<PeerId, Value>();
    if (!ofSender.has(to)) this.#size++;
    ofSender.set(to, value);
    ofGroup.set(from, ofSender);
    this.#values.set(group, ofGroup);
  }

  values(): Value[] {
    return this.#innermost().flatMap((ofSender) => [...ofSender.values()]);
  }

  /** Removes all entries with this value. */
  deleteValue(value: Value): void {
    for (const ofSender of this.#innermost()) {
      for (const [to, each] of ofSender) {
        if (each === value && ofSender.delete(to)) this.#size--;
      }
    }
  }

  clear(): void {
    this.#values.clear();
    this.#size = 0;
  }

  #innermost(): Map<PeerId, Value>[] {
    return [...this.#values.values()].flatMap((ofGroup) => [...ofGroup.values()]);
  }
}

import type { HistoryOperation } from './history.ts';

/** What the search found about one register. */
export type Linearizability =
  | { readonly type: 'linearizable' }
  | {
      readonly type: 'violation';
      /** The first operation, by time of return, that no order explains. */
      readonly operation: HistoryOperation;
      /** What the register may have held just before it returned. */
      readonly possibleValues: readonly bigint[];
    }
  /** The budget of steps was used up. */
  | { readonly type: 'undecided' };

/** An operation reduced to what the search needs; values are interned as small integers. */
type Step = {
  /** The value before, as seen by an answered operation; for a lone CAS, its expected value. */
  readonly before: number;
  /** The value after; equal to `before` when it changes nothing. */
  readonly after: number;
  readonly operation: HistoryOperation;
};

/**
 * One explanation of the history so far: what the register holds, and which operations that are
 * still open have taken effect in it already.
 */
type Explanation = {
  readonly value: number;
  /** Answered operations whose return is still to come. */
  readonly done: ReadonlySet<Step>;
  /** Ambiguous writes. */
  readonly used: ReadonlySet<Step>;
};

/** An ambiguous exchange takes effect whatever the register holds. */
const ANY = -1;
const NOTHING: ReadonlySet<Step> = new Set();

/**
 * Judges one register: is there an order of its operations, each placed between its call and its
 * return, that gives every answer seen? (Herlihy and Wing's linearizability.) The search walks
 * through time and places an operation only when a return forces it (after Lowe's just-in-time
 * linearization): with few clients at a time the number of explanations stays small, however long
 * the history. An ambiguous write may be placed anywhere after its call, or nowhere.
 */
export function checkRegister(
  operations: readonly HistoryOperation[],
  options: { initialValue: bigint; stepsMax: number },
): Linearizability {
  const search = new RegisterSearch(options.initialValue, options.stepsMax);
  for (const event of eventsOf(operations)) {
    if (event.type === 'invoke') search.invoke(event.operation);
    else if (!search.return(event.operation)) return search.verdict(event.operation);
  }
  return { type: 'linearizable' };
}

type Event = { readonly type: 'invoke' | 'return'; readonly operation: HistoryOperation };

/** Calls and returns in time order; at equal times calls first, which allows more orders. */
function eventsOf(operations: readonly HistoryOperation[]): Event[] {
  const relevant = operations.filter(
    ({ call, result }) =>
      result.outcome === 'ok' || (result.outcome === 'ambiguous' && call.kind !== 'get'),
  );
  const events: (Event & { readonly at: number })[] = [];
  for (const operation of relevant) {
    events.push({ type: 'invoke', operation, at: operation.invokedAt });
    if (operation.result.outcome !== 'ok') continue;
    events.push({ type: 'return', operation, at: operation.returnedAt });
  }
  return events.sort((a, b) => a.at - b.at || Number(a.type > b.type) - Number(a.type < b.type));
}

class RegisterSearch {
  readonly #values = new Map<bigint, number>();
  readonly #stepsMax: number;
  #steps = 0;
  #explanations: Explanation[];
  /** Answered operations between their call and their return. */
  readonly #open = new Map<HistoryOperation, Step>();
  /** Ambiguous writes that some explanation has not used, by the value they leave. */
  readonly #ambiguous = new Map<number, Set<Step>>();
  #before: Explanation[] = [];

  constructor(initialValue: bigint, stepsMax: number) {
    this.#stepsMax = stepsMax;
    this.#explanations = [{ value: this.#intern(initialValue), done: NOTHING, used: NOTHING }];
  }

  invoke(operation: HistoryOperation): void {
    const step = this.#stepOf(operation);
    if (operation.result.outcome === 'ambiguous') {
      const alike = this.#ambiguous.get(step.after) ?? new Set();
      this.#ambiguous.set(step.after, alike.add(step));
      return;
    }
    this.#open.set(operation, step);
    if (step.before !== step.after) return;
    this.#explanations = this.#explanations.map((it) => this.#withObservations(it));
  }

  /** False when no explanation is left or the budget is used up. */
  return(operation: HistoryOperation): boolean {
    const target = this.#open.get(operation);
    if (target === undefined) return true;
    this.#before = this.#explanations;
    const needed = this.#neededValues();
    const kept = new Frontier();
    for (const explanation of this.#explanations) {
      if (!this.#place(explanation, { target, needed, kept })) return false;
    }
    this.#open.delete(operation);
    this.#explanations = kept.all();
    this.#settle();
    return this.#explanations.length > 0;
  }

  verdict(operation: HistoryOperation): Linearizability {
    if (this.#steps > this.#stepsMax) return { type: 'undecided' };
    const values = [...this.#values.keys()];
    const possible = new Set(this.#before.map(({ value }) => values[value] ?? 0n));
    return { type: 'violation', operation, possibleValues: [...possible] };
  }

  /** Adds to `kept` every explanation that follows from `start` and has `target` done. */
  #place(
    start: Explanation,
    goal: { target: Step; needed: ReadonlySet<number>; kept: Frontier },
  ): boolean {
    const { target, needed, kept } = goal;
    const seen = new Frontier();
    const todo = [start];
    for (let current = todo.pop(); current !== undefined; current = todo.pop()) {
      this.#steps += 1;
      if (this.#steps > this.#stepsMax) return false;
      if (current.done.has(target)) {
        kept.add({ ...current, done: without(current.done, target) });
        continue;
      }
      for (const next of this.#successors(current, needed)) if (seen.add(next)) todo.push(next);
    }
    return true;
  }

  /** The explanations one operation further. */
  #successors(current: Explanation, needed: ReadonlySet<number>): Explanation[] {
    const { value, done, used } = current;
    const found: Explanation[] = [];
    for (const step of this.#open.values()) {
      if (step.before !== value || step.after === value || done.has(step)) continue;
      found.push(
        this.#withObservations({ value: step.after, done: new Set(done).add(step), used }),
      );
    }
    for (const wanted of needed) {
      if (wanted === value) continue;
      const step = this.#unusedAmbiguous(current, wanted);
      if (step === undefined) continue;
      found.push(this.#withObservations({ value: wanted, done, used: new Set(used).add(step) }));
    }
    return found;
  }

  /** Writes of one value that all may still happen are alike: any one stands for them. */
  #unusedAmbiguous({ value, used }: Explanation, wanted: number): Step | undefined {
    for (const step of this.#ambiguous.get(wanted) ?? NOTHING) {
      if (!used.has(step) && (step.before === ANY || step.before === value)) return step;
    }
    return undefined;
  }

  /**
   * Places every open operation that only observes and saw the present value: it changes nothing,
   * so an explanation that places it now is never worse than one that waits.
   */
  #withObservations(explanation: Explanation): Explanation {
    let done: Set<Step> | undefined;
    for (const step of this.#open.values()) {
      const observes = step.before === step.after && step.before === explanation.value;
      if (!observes || explanation.done.has(step)) continue;
      done ??= new Set(explanation.done);
      done.add(step);
    }
    return done === undefined ? explanation : { ...explanation, done };
  }

  /**
   * The values that an ambiguous write would have to leave to be of any use: every answered
   * operation saw the value before it, so a write that nobody saw may as well not have happened.
   */
  #neededValues(): ReadonlySet<number> {
    const needed = new Set<number>();
    if (this.#ambiguous.size === 0) return needed;
    for (const { before } of this.#open.values()) needed.add(before);
    // A set visits what is added on the way: chains of ambiguous writes are followed to their start.
    for (const value of needed) {
      for (const { before } of this.#ambiguous.get(value) ?? NOTHING) {
        if (before !== ANY) needed.add(before);
      }
    }
    return needed;
  }

  /** Forgets ambiguous writes that all explanations have used. */
  #settle(): void {
    const [first, ...others] = this.#explanations;
    if (first === undefined || first.used.size === 0) return;
    const common = [...first.used].filter((step) => others.every(({ used }) => used.has(step)));
    for (const step of common) {
      const alike = this.#ambiguous.get(step.after);
      alike?.delete(step);
      if (alike?.size === 0) this.#ambiguous.delete(step.after);
    }
    if (common.length === 0) return;
    this.#explanations = this.#explanations.map((it) => ({
      ...it,
      used: new Set([...it.used].filter((step) => !common.includes(step))),
    }));
  }

  #stepOf(operation: HistoryOperation): Step {
    const { call, result } = operation;
    const old = result.outcome === 'ok' ? this.#intern(result.oldValue) : ANY;
    switch (call.kind) {
      case 'get':
        return { before: old, after: old, operation };
      case 'exchange':
        return { before: old, after: this.#intern(call.newValue), operation };
      case 'compareExchange': {
        if (result.outcome === 'ok' && !result.exchanged) {
          return { before: old, after: old, operation };
        }
        const before = old === ANY ? this.#intern(call.expectedValue) : old;
        return { before, after: this.#intern(call.newValue), operation };
      }
    }
  }

  #intern(value: bigint): number {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    this.#values.set(value, this.#values.size);
    return this.#values.size - 1;
  }
}

/**
 * Explanations without those that another one beats: same value, same open operations done, and no
 * ambiguous write used that the other has not used as well.
 */
class Frontier {
  readonly #byValue = new Map<number, Explanation[]>();

  /** False if one that is at least as good is there already. */
  add(candidate: Explanation): boolean {
    const alike = this.#byValue.get(candidate.value);
    if (alike === undefined) {
      this.#byValue.set(candidate.value, [candidate]);
      return true;
    }
    if (alike.some((other) => beats(other, candidate))) return false;
    const rest = alike.filter((other) => !beats(candidate, other));
    this.#byValue.set(candidate.value, [...rest, candidate]);
    return true;
  }

  all(): Explanation[] {
    return [...this.#byValue.values()].flat();
  }
}

function beats(one: Explanation, other: Explanation): boolean {
  return (
    one.done.size === other.done.size &&
    within(one.done, other.done) &&
    within(one.used, other.used)
  );
}

function within(inner: ReadonlySet<Step>, outer: ReadonlySet<Step>): boolean {
  if (inner.size > outer.size) return false;
  for (const step of inner) if (!outer.has(step)) return false;
  return true;
}

function without(steps: ReadonlySet<Step>, step: Step): ReadonlySet<Step> {
  if (steps.size === 1) return NOTHING;
  const rest = new Set(steps);
  rest.delete(step);
  return rest;
}

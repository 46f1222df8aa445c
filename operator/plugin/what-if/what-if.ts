import type { Action, OperationType, Plan } from '../../cluster/action.ts';
import { noteOf } from '../../cluster/action-note.ts';
import { factsSeen } from '../../cluster/evidence.ts';
import type { Fact, Observed } from '../../cluster/observed.ts';
import { faultTolerance, voterOf } from '../../cluster/plan/membership.ts';
import { plan } from '../../cluster/plan/plan.ts';
import { apply } from './apply.ts';

/** Far more than any change of a group of nine takes. */
const STEPS_MAX = 200;
const JUST_SEEN: Fact = { heldMs: 0, passes: 1 };
const HELD_LONG: Fact = { heldMs: Number.MAX_SAFE_INTEGER, passes: 1_000 };

/** One thing that the operator would do, or wait for. */
export type Step = {
  /** A wait ends by itself when what is seen goes on for long enough. */
  readonly type: 'act' | 'wait';
  readonly operation: OperationType | undefined;
  readonly action: Action['type'] | undefined;
  readonly message: string;
  /** The group after it; undefined without a leader. */
  readonly leader: string | undefined;
  readonly voters: number | undefined;
  /** How many more members may fail after it, and in its course. */
  readonly tolerance: number | undefined;
  readonly toleranceMeanwhile: number | undefined;
};

/** All steps to the goal, or those up to where it stops. */
export type WhatIf = {
  readonly steps: readonly Step[];
  /** What it would wait for without end; undefined when nothing is left to do. */
  readonly blockedBy: string | undefined;
  /** The world in the end. */
  readonly end: Observed;
};

/**
 * What the operator would do from `start` on, by its own plan, if every step succeeds and nothing
 * else happens. Facts are taken to be seen for the first time now, and to go on.
 */
export function whatIf(start: Observed): WhatIf {
  const steps: Step[] = [];
  let world = start;
  if (world.group?.stable === false) {
    const message = 'a change of members is under way';
    steps.push({ ...stepOf(world, { requeueAfterMs: 0 }), type: 'wait', message });
    world = { ...world, group: { ...world.group, stable: true } };
  }
  while (steps.length < STEPS_MAX) {
    const now = plan({ ...world, facts: factsOf(world, JUST_SEEN) });
    const later = now.action === undefined ? planWhenProven(world) : now;
    const isDone = [now, later].every((one) => reasonOf(one) === undefined);
    if (later.action === undefined && isDone) return { steps, blockedBy: undefined, end: world };
    if (now.action === undefined) steps.push(waitOf(world, now));
    if (later.action === undefined) return { steps, blockedBy: reasonOf(later), end: world };
    const before = world;
    world = apply(later.action, world);
    steps.push(stepOf(world, later, before));
  }
  return { steps, blockedBy: `no end after ${String(STEPS_MAX)} steps`, end: world };
}

/** What the operator does when what it sees has held for as long as it wants. */
function planWhenProven(world: Observed): Plan {
  return plan({ ...world, facts: factsOf(world, HELD_LONG) });
}

/** Members that take part are taken to do so for long already. */
function factsOf(world: Observed, fact: Fact): Observed['facts'] {
  const lasting = (name: string): Fact => (name.startsWith('participates:') ? HELD_LONG : fact);
  return new Map([...factsSeen(world)].map((name) => [name, lasting(name)]));
}

function reasonOf({ action, stalled, operation }: Plan): string | undefined {
  return action?.type ?? stalled?.message ?? operation?.message;
}

function waitOf(world: Observed, now: Plan): Step {
  const message = now.stalled?.message ?? now.operation?.message ?? 'waiting';
  return { ...stepOf(world, now), type: 'wait', message };
}

function stepOf(world: Observed, { action, operation }: Plan, before = world): Step {
  const { group, name } = world;
  const leader = group?.leader === undefined ? undefined : `${name}-${String(group.leader)}`;
  return {
    ...{ type: 'act', operation: operation?.type, action: action?.type, leader },
    message: action === undefined ? '' : noteOf(name, action, operation),
    voters: group?.voters.length,
    tolerance: group && faultTolerance(group),
    toleranceMeanwhile: toleranceDuring(action, before, world),
  };
}

/** A member that restarts is missing for a while; of two configurations the weaker counts. */
function toleranceDuring(
  action: Action | undefined,
  before: Observed,
  after: Observed,
): number | undefined {
  if (before.group === undefined || after.group === undefined) return undefined;
  const [was, is] = [faultTolerance(before.group), faultTolerance(after.group)];
  const isRestart = action?.type === 'evictPod' || action?.type === 'deletePod';
  if (!isRestart) return Math.min(was, is);
  return voterOf(before, action.ordinal)?.participating === true ? was - 1 : was;
}

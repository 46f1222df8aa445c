import type { AtomicServiceCore } from './service-core.ts';

/** What a call knows of the time its caller gives it. */
type DeadlinedCall = { getDeadline(): Date | number };

/** The deadline of a unary call on the core's clock; without one, the server's default. */
export function deadlineOf(call: DeadlinedCall, core: AtomicServiceCore): number {
  const deadline = call.getDeadline();
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  if (!Number.isFinite(at)) return core.deadlineAfter(0);
  // grpc-js tells wall-clock time; what is left of it counts on any clock.
  return core.clock.now() + (at - Date.now());
}

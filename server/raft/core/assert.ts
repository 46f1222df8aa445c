/** A broken invariant: the program is wrong, not its input. The node that meets one stops. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * States what must hold whatever the network, the disk or a peer does (Raft paper, figure 3).
 *
 * @throws InvariantError when `condition` is false.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** Ends an exhaustive `switch`: a new member of the union becomes a compile error here. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected value: ${JSON.stringify(value)}`);
}

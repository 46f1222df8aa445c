import { Lineage, Term, type PeerId } from '../core/ids.ts';
import { parsePeerId } from '../core/peer-id.ts';
import type { Identity, ResetOrder } from './identity-storage.ts';

/** Thrown by what reads a part of an identity file; says nothing that the caller does not know. */
class Unreadable extends Error {}

/** The last reset in an identity file; `damaged` when it is none. */
export function parseReset(field: unknown): Identity['reset'] | 'damaged' {
  return attempt(field, (fields) => {
    const goal = goalOf(fields);
    if (fields['planned'] === undefined) return goal;
    const planned = objectOf(fields['planned']);
    const from = Lineage(textOf(planned['from']));
    return { ...goal, planned: { planHash: textOf(planned['planHash']), from } };
  });
}

/** The prepared reset in an identity file; `damaged` when it is none. */
export function parseOrder(field: unknown): ResetOrder | undefined | 'damaged' {
  return attempt(field, (fields) => ({
    ...goalOf(fields),
    planHash: textOf(fields['planHash']),
    lineage: Lineage(textOf(fields['lineage'])),
  }));
}

function attempt<T>(
  field: unknown,
  parse: (fields: Record<string, unknown>) => T,
): T | undefined | 'damaged' {
  if (field === undefined) return undefined;
  try {
    return parse(objectOf(field));
  } catch (error) {
    if (error instanceof Unreadable) return 'damaged';
    throw error;
  }
}

function goalOf({ voters, term }: Record<string, unknown>): {
  readonly voters: readonly PeerId[];
  readonly term: Term;
} {
  if (!Array.isArray(voters) || typeof term !== 'number') throw new Unreadable();
  return { voters: voters.map(peerOf), term: Term(term) };
}

function peerOf(text: unknown): PeerId {
  const parsed = parsePeerId(textOf(text));
  if (parsed.ok) return parsed.peer;
  throw new Unreadable();
}

function textOf(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new Unreadable();
}

function objectOf(value: unknown): Record<string, unknown> {
  return { ...(Object(value) as Record<string, unknown>) };
}

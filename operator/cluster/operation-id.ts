import { createHash } from 'node:crypto';

/**
 * Names a membership change by what it does: whoever decides for it again, after a crash or in
 * place of another operator, repeats the same operation instead of beginning a second one.
 */
export function operationId(
  clusterId: string,
  configurationIndex: number,
  peers: readonly string[],
): string {
  const text = [clusterId, String(configurationIndex), ...[...peers].sort()].join('\n');
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

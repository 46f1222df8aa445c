import type { KubernetesObject } from '../controller/kubernetes-object.ts';

/** The Secret of a cluster, as the API server has it. */
export type SecretObject = KubernetesObject & { readonly data?: Readonly<Record<string, string>> };

/**
 * The secret to show to servers; empty when there is none. It has two lines while it is exchanged: the
 * first is sent, both are accepted.
 */
export function secretToSend(object: SecretObject | undefined): string {
  const content = Buffer.from(object?.data?.['secret'] ?? '', 'base64').toString('utf8');
  return content.split('\n')[0]?.trim() ?? '';
}

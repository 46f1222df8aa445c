import type { KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';
import type { JsonMap } from './json-value.ts';
import { refusal } from './preconditions.ts';

/** What remains of a patch: the main resource cannot change the status, nor that the rest. */
export function effective(
  kind: { readonly plural: string; readonly hasStatus?: boolean | undefined },
  {
    before,
    patched,
    subresource,
  }: {
    readonly before: KubernetesObject & JsonMap;
    readonly patched: KubernetesObject & JsonMap;
    readonly subresource: string | undefined;
  },
): KubernetesObject & JsonMap {
  if (subresource === 'status') {
    if (kind.hasStatus === true) return { ...before, status: patched['status'] };
    throw refusal(404, 'NotFound', `${kind.plural} have no status subresource`);
  }
  if (subresource !== undefined) {
    throw refusal(404, 'NotFound', `${kind.plural} have no subresource ${subresource}`);
  }
  return kind.hasStatus === true ? { ...patched, status: before['status'] } : patched;
}

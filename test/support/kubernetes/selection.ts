import type { ListOptions } from '../../../operator/controller/api-client.ts';
import type { KubernetesObject } from '../../../operator/controller/kubernetes-object.ts';

/** Whether a list or watch with these options has `object`; of label selectors, `a=b,c=d`. */
export function isSelected({ metadata }: KubernetesObject, options: ListOptions): boolean {
  const { namespace, labelSelector = '' } = options;
  if (namespace !== undefined && metadata.namespace !== namespace) return false;
  const requirements = labelSelector.split(',').filter((text) => text !== '');
  return requirements.every((text) => {
    const [name = '', value] = text.split('=');
    const actual = metadata.labels?.[name];
    return value === undefined ? actual !== undefined : actual === value;
  });
}

import { ApiError } from '../controller/api-error.ts';
import { PluginError } from './failure.ts';

/** A permission, as RBAC names it. */
export type Right = {
  readonly verb: string;
  /** With its API group, such as `statefulsets.apps`. */
  readonly resource: string;
  readonly subresource?: string;
  /** Undefined: of all namespaces, or of a kind that has none. */
  readonly namespace?: string | undefined;
};

/** The command by which a person sees whether they have it. */
export function canI({ verb, resource, subresource, namespace }: Right): string {
  const of = subresource === undefined ? '' : ` --subresource=${subresource}`;
  const where = namespace === undefined ? '' : ` -n ${namespace}`;
  return `kubectl auth can-i ${verb} ${resource}${of}${where}`;
}

/** What cannot be told without a right. */
const FOR_WANT_OF: Readonly<Record<string, string>> = {
  pods: 'the pods',
  'pods/proxy': 'indexes and lag',
  'statefulsets.apps': 'the StatefulSet',
  persistentvolumeclaims: 'the volumes',
  persistentvolumes: 'whether the nodes of volumes exist',
  nodes: 'whether the nodes of volumes exist',
  'events.events.k8s.io': 'the events',
};

/** What was not seen, and the command that tells which right is missing. */
export function unseenText(right: Right): string {
  const { resource, subresource } = right;
  const what = subresource === undefined ? resource : `${resource}/${subresource}`;
  return `${FOR_WANT_OF[what] ?? what}: you may not look, as ${canI(right)} tells`;
}

/** What the person may do shows when it is tried; what they may not is kept, to be told once. */
export class Rights {
  readonly #missing = new Map<string, Right>();

  get missing(): readonly Right[] {
    return [...this.#missing.values()];
  }

  /** Undefined when the right is missing. @throws whatever else goes wrong. */
  async attempt<T>(right: Right, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 403) throw error;
      this.#missing.set(canI(right), right);
      return undefined;
    }
  }
}

/** For what a command cannot do without. @throws PluginError when the right is missing. */
export async function withRight<T>(right: Right, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== 403) throw error;
    const { verb, resource, subresource, namespace } = right;
    const what = subresource === undefined ? resource : `${resource}/${subresource}`;
    const where = namespace === undefined ? '' : ` in namespace ${namespace}`;
    throw new PluginError(
      `you may not ${verb} ${what}${where}: ask for the permission; ${canI(right)} tells when you have it (${error.message})`,
    );
  }
}

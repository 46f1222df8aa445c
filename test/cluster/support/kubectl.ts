import { program, runInCluster } from './cluster-access.ts';

/**
 * Runs kubectl as the administrator of the cluster and resolves with what it printed.
 *
 * @throws Error when no cluster runs or the command fails.
 */
export function kubectl(...args: readonly string[]): Promise<string> {
  return runInCluster([program('kubectl'), ...args]);
}

/** Creates or changes objects. */
export async function apply(...objects: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await runInCluster([program('kubectl'), 'apply', '-f', '-'], JSON.stringify(list));
}

/** As `apply`, by server-side apply: for objects too large for an annotation. */
export async function applyServerSide(...objects: readonly object[]): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  const command = [program('kubectl'), 'apply', '--server-side', '--force-conflicts', '-f', '-'];
  await runInCluster(command, JSON.stringify(list));
}

/** What kubectl says when it refuses; fails if it does not refuse. */
export async function refusal(input: object, ...args: readonly string[]): Promise<string> {
  try {
    await runInCluster([program('kubectl'), ...args], JSON.stringify(input));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error(`kubectl ${args.join(' ')} did not refuse ${JSON.stringify(input)}`);
}

/** An object as the API server has it; undefined when there is none. */
export async function get<T>(
  kind: string,
  name: string,
  namespace: string,
): Promise<T | undefined> {
  const text = await kubectl(
    ...['get', kind, name, '-n', namespace, '-o=json', '--ignore-not-found'],
  );
  return text === '' ? undefined : (JSON.parse(text) as T);
}

/** A namespace for tests, in which only pods of the restricted kind run. */
export function restrictedNamespace(name: string): object {
  const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

import { nodeAddresses } from '../bed/addresses.ts';
import { runningPrograms } from '../bed/bed.ts';
import { restartApiServer } from '../bed/control-plane.ts';
import { killDaemon } from '../bed/daemon.ts';
import { nodeDaemon, startNode } from '../bed/node.ts';
import { eventually } from '../bed/wait.ts';
import { kubectl } from './kubectl.ts';

/** More nodes than any bed has. */
const NODES_MAX = 9;
const HANG_GUARD_MS = 120_000;
const BOOT_MS = 60_000;
const BOOTS_MAX = 3;

/** Cuts the power of a node: every process on it is gone at once, and its disk stays. */
export function crashNode(name: string): Promise<void> {
  return killDaemon(nodeDaemon(addressOf(name)));
}

/** Switches a node on again; resolves when it is Ready. */
export async function returnNode(name: string): Promise<void> {
  // A machine that does not come up is switched off and on again.
  for (let boot = 1; ; boot++) {
    await crashNode(name);
    startNode(addressOf(name), programs());
    try {
      await nodeIs(name, 'True', BOOT_MS);
      return;
    } catch (error) {
      if (boot === BOOTS_MAX) throw error;
    }
  }
}

/** The node is gone for good, and its administrator says so. */
export async function loseNode(name: string): Promise<void> {
  await crashNode(name);
  await kubectl('delete', 'node', name, '--wait=true');
}

/** Waits until the cluster has noticed that a node is up (`True`) or is not heard (`Unknown`). */
export async function nodeIs(
  name: string,
  ready: 'True' | 'Unknown',
  hangGuardMs = HANG_GUARD_MS,
): Promise<void> {
  const path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status}';
  const says = async (): Promise<boolean> =>
    (await kubectl('get', 'node', name, path, '--ignore-not-found')) === ready;
  await eventually(`node ${name} is ${ready}`, says, hangGuardMs);
}

/** Empties a node as an administrator does before work on it. */
export async function drain(name: string): Promise<void> {
  const flags = ['--ignore-daemonsets', '--delete-emptydir-data', '--timeout=240s'];
  await kubectl('drain', name, ...flags);
}

/** Kills the API server and starts it again; resolves when it answers. */
export function restartApi(): Promise<void> {
  return restartApiServer(programs());
}

function addressOf(name: string): ReturnType<typeof nodeAddresses>[number] {
  const address = nodeAddresses(NODES_MAX).find((one) => one.name === name);
  if (address === undefined) throw new Error(`${name} is no node of the test bed`);
  return address;
}

function programs(): string {
  const folder = runningPrograms();
  if (folder === undefined) throw new Error('no test bed runs');
  return folder;
}

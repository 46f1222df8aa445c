import {
  existsSync,
  mkdirSync,
  rmSync,
  rmdirSync,
  readdirSync,
  writeFileSync,
  readFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { nodeAddresses, type NodeAddress } from './addresses.ts';
import { makeCertificates } from './certificates.ts';
import { kubectl, startControlPlane } from './control-plane.ts';
import { killDaemons } from './daemon.ts';
import { packImages } from './images.ts';
import { createNetwork, removeNetwork } from './network.ts';
import { controlGroupsOf, startNode } from './node.ts';
import { RUN_FOLDER } from './paths.ts';
import { buildPrograms } from './programs.ts';
import { requireBed } from './requirements.ts';
import { eventually } from './wait.ts';

const PROGRAMS_FILE = join(RUN_FOLDER, 'programs');

export type Print = (line: string) => void;

/** Builds what is missing and starts a Kubernetes of `nodes` nodes; resolves when all are Ready. */
export async function startBed(nodes: number, print: Print): Promise<void> {
  await requireBed(print);
  if (existsSync(PROGRAMS_FILE)) {
    throw new Error('a test cluster runs already; stop it with: npm run cluster:down');
  }
  const addresses = nodeAddresses(nodes);
  const programs = await buildPrograms(print);
  await packImages(programs);
  await makeCertificates(addresses);
  mkdirSync(RUN_FOLDER, { recursive: true });
  writeFileSync(PROGRAMS_FILE, programs);
  try {
    await createNetwork(addresses);
    await startControlPlane(programs);
    for (const address of addresses) startNode(address, programs);
    await eventually('all nodes are ready', () => allReady(programs, addresses));
  } catch (error) {
    await killDaemons();
    throw error;
  }
}

/** Stops everything and removes it; does nothing when nothing runs. */
export async function stopBed(): Promise<void> {
  await killDaemons();
  await removeNetwork();
  for (const group of controlGroupsOf('k8s')) removeControlGroup(group);
  rmSync(RUN_FOLDER, { recursive: true, force: true });
}

/** The folder with the programs of the cluster that runs, or undefined when none does. */
export function runningPrograms(): string | undefined {
  return existsSync(PROGRAMS_FILE) ? readFileSync(PROGRAMS_FILE, 'utf8') : undefined;
}

async function allReady(programs: string, nodes: readonly NodeAddress[]): Promise<boolean> {
  const format =
    '-o=jsonpath={range .items[*].status.conditions[?(@.type=="Ready")]}{.status} {end}';
  const states = await kubectl(programs, ['get', 'nodes', format]);
  return (
    states
      .trim()
      .split(' ')
      .filter((state) => state === 'True').length === nodes.length
  );
}

/** Only empty groups can be removed, the innermost first. */
function removeControlGroup(group: string): void {
  if (!existsSync(group)) return;
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeControlGroup(join(group, entry.name));
  }
  rmdirSync(group);
}

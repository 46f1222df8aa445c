import { atomicClusterDefinition } from '../../../operator/api/crd.ts';
import { applyServerSide, kubectl } from './kubectl.ts';

/** Makes AtomicClusters known; resolves when the API serves them. */
export async function installDefinition(): Promise<void> {
  await applyServerSide(atomicClusterDefinition());
  const crd = 'crd/atomicclusters.atomicraft.dev';
  await kubectl('wait', '--for=condition=Established', crd, '--timeout=60s');
}

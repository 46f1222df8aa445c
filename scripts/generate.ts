// Regenerates what is made from other sources: proto/gen from the .proto files, the definition of
// AtomicCluster and its reference from operator/api. With --check only says what is out of date.
import { regenerate, staleFiles } from './generated-code.ts';
import { staleManifests, writeManifests } from './generated-manifests.ts';

if (process.argv.includes('--check')) {
  const code = (await staleFiles()).map((file) => `proto/gen/${file}`);
  const stale = [...code, ...(await staleManifests())];
  if (stale.length > 0) {
    console.error(`Out of date: ${stale.join(', ')}. Run: npm run generate`);
    process.exitCode = 1;
  }
} else {
  await regenerate();
  await writeManifests();
}

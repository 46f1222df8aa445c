// Makes the kubectl plugin one executable file that needs nothing but Node: dist/kubectl-atomic.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { packageVersion } from '../server/version.ts';

const ENTRY = 'operator/plugin/main.ts';
const OUTPUT = 'dist/kubectl-atomic';
/** Packages of the older kind load others by `require`, which modules do not have. */
const REQUIRE =
  'import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url);';

const FLAGS = [
  ...['--bundle', '--platform=node', '--target=node22', '--format=esm', '--log-level=warning'],
  `--define:BUNDLED_VERSION=${JSON.stringify(packageVersion())}`,
  `--banner:js=${REQUIRE}`,
  `--outfile=${OUTPUT}`,
];

const { status, error } = spawnSync('esbuild', [ENTRY, ...FLAGS], { stdio: 'inherit' });
if (error !== undefined) {
  console.error(`esbuild cannot be run: ${error.message}`);
  process.exitCode = 1;
} else {
  process.exitCode = status ?? 1;
  if (status === 0) {
    chmodSync(OUTPUT, 0o755);
    console.log(OUTPUT);
  }
}

// Compiles the package to dist/ for publishing and for images; development runs the sources.
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const OUTPUT = 'dist';
/** Files the compiled code reads at run time. */
const ASSETS = '{client,server}/**/*.{css,html,js}';

rmSync(OUTPUT, { recursive: true, force: true });
const { status } = spawnSync('tsc', ['-p', 'tsconfig.build.json'], { stdio: 'inherit' });
for (const asset of globSync(ASSETS)) cpSync(asset, join(OUTPUT, asset));
process.exitCode = status ?? 1;

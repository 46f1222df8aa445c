// Regenerates proto/gen from the .proto files; with --check only says what is out of date.
import { regenerate, staleFiles } from './generated-code.ts';

if (process.argv.includes('--check')) {
  const stale = await staleFiles();
  if (stale.length > 0) {
    console.error(`Out of date in proto/gen: ${stale.join(', ')}. Run: npm run generate`);
    process.exitCode = 1;
  }
} else {
  await regenerate();
}

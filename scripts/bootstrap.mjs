// The entry point of every npm script. Plain JavaScript and built-in modules only: it must run on
// an older Node, in a fresh clone, before anything is installed.
import { install } from './bootstrap/install.mjs';
import { run } from './bootstrap/run.mjs';
import { runtime } from './bootstrap/runtime.mjs';
import { commandFor } from './bootstrap/targets.mjs';

async function main([target, ...rest]) {
  const command = commandFor(target, rest);
  await install();
  process.exitCode = await run(command, runtime());
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`atomicraft: ${error.message}`);
  process.exitCode = 1;
});

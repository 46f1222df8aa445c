#!/usr/bin/env node
import { argv, exit, stderr, stdout, versions } from 'node:process';

const [major = 0, minor = 0] = versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  stderr.write(`atomic needs Node 22.19 or newer; this is Node ${versions.node}\n`);
  exit(2);
}
// Imported late: older versions of Node cannot even load what follows.
const { runCommandLine } = await import('./command-line.ts');
const { packageVersion } = await import('../server/version.ts');
await runCommandLine(argv.slice(2), packageVersion());

// An attempt to connect to a server that is gone would keep the process for minutes.
for (const stream of [stdout, stderr]) {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}
exit();

#!/usr/bin/env node
import { argv, exit, stderr, stdout, versions } from 'node:process';
import { packageVersion } from '../../server/version.ts';
import { runPlugin } from './command-line.ts';
import { connectTo } from './connection.ts';
import { processTerminal } from './terminal.ts';

/** Put in when the plugin is made one file, which has no package.json beside it. */
declare const BUNDLED_VERSION: string | undefined;

const [major = 0, minor = 0] = versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  stderr.write(`kubectl atomic needs Node 22.19 or newer; this is Node ${versions.node}\n`);
  exit(2);
}

const version = typeof BUNDLED_VERSION === 'string' ? BUNDLED_VERSION : packageVersion();
await runPlugin(argv.slice(2), { terminal: processTerminal(), connect: connectTo, version });

// Connections that are kept for further requests would keep the process.
for (const stream of [stdout, stderr]) {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}
exit();

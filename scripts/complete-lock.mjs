// Puts the packages of other platforms back into package-lock.json.
//
// A registry mirror may lack them; `npm install` then leaves them out of the lock file, and
// `npm ci` refuses a lock file without them. Run this after `npm install`.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './bootstrap/paths.mjs';

const FILE = join(root, 'package-lock.json');
const SYSTEMS = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32'];
const PROCESSORS = ['arm64', 'arm', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'x64'];

/** The entry of a platform package, from what its name says of system and processor. */
function entry(name, version, { dev }) {
  const words = name.split('/').at(-1).split('-');
  const system = SYSTEMS.find((system) => words.includes(system));
  const processor = PROCESSORS.find((cpu) => words.some((word) => word.startsWith(cpu)));
  if (system === undefined || processor === undefined) return undefined;
  const kind = dev === true ? { dev } : {};
  return { version, cpu: [processor], ...kind, optional: true, os: [system] };
}

const lock = JSON.parse(readFileSync(FILE, 'utf8'));
const added = [];
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const path = `node_modules/${name}`;
    const platform = lock.packages[path] === undefined ? entry(name, version, parent) : undefined;
    if (platform === undefined) continue;
    lock.packages[path] = platform;
    added.push(name);
  }
}
const byPath = ([left], [right]) => left.localeCompare(right, 'en');
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(byPath));
writeFileSync(FILE, `${JSON.stringify(lock, undefined, 2)}\n`);
console.log(`added ${added.length}: ${added.join(' ')}`);

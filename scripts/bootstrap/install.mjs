import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { withLock } from './lock.mjs';
import { modules, root, runtimePackage } from './paths.mjs';

const NPM_CI = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];

/** Installs the locked packages when what is in node_modules is missing or of another lock file. */
export async function install() {
  if (isInstalled()) return;
  await withLock(async () => {
    // Another process may have installed while this one waited.
    if (isInstalled()) return;
    console.error('Installing the packages of package-lock.json, once (about a minute) ...');
    await npmCi();
    console.error('Installed.');
  });
}

/**
 * npm writes node_modules/.package-lock.json at the very end, so a file that agrees with
 * package-lock.json means a complete installation.
 */
function isInstalled() {
  const installed = readPackages(join(modules, '.package-lock.json'));
  if (installed === undefined) return false;
  const locked = readPackages(join(root, 'package-lock.json')) ?? {};
  const needed = Object.entries(locked).filter(([path, { optional, devOptional }]) => {
    return path !== '' && optional !== true && devOptional !== true;
  });
  return (
    needed.every(([path, { version }]) => installed[path]?.version === version) &&
    Object.entries(installed).every(([path, { version }]) => locked[path]?.version === version) &&
    (locked[`node_modules/${runtimePackage}`] === undefined ||
      existsSync(join(modules, runtimePackage)))
  );
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function npmCi() {
  const npm = process.env.npm_execpath;
  const isNpm = npm !== undefined && basename(npm).startsWith('npm-cli');
  const [program, args] = isNpm ? [process.execPath, [npm, ...NPM_CI]] : ['npm', NPM_CI];
  // npm's report belongs to the error stream: the output of `npm run -s x` stays the program's own.
  const child = spawn(program, args, { cwd: root, stdio: ['ignore', 2, 2] });
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new Error(`cannot run npm (${error.message}): install npm and try again`));
    });
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error('npm ci failed, see above: check the network and try again'));
    });
  });
}

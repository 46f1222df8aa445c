import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { modules, runtimePackage } from './paths.mjs';

const NODE_MIN = [22, 19];

/**
 * The Node binary to run the project with: the pinned one of this platform, or the current one when
 * it is new enough.
 */
export function runtime() {
  const pinned = join(modules, runtimePackage, 'bin', 'node');
  if (existsSync(pinned)) return pinned;
  if (isNewEnough(process.versions.node)) return process.execPath;
  throw new Error(
    `Node ${process.versions.node} is too old and no pinned Node is published for ` +
      `${process.platform}-${process.arch}: install Node ${NODE_MIN.join('.')} or newer and try again`,
  );
}

function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
}

import { it } from '@jest/globals';
import { existsSync } from 'node:fs';

/** What some tests need and not every machine has. */
export type Facility = 'chromium' | 'expendableNodes' | 'linux' | 'loopDevice' | 'root';

type Requirement = { readonly isMet: () => boolean; readonly remedy: string };

const CHROMIUM_PATHS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const REQUIREMENTS: Readonly<Record<Facility, Requirement>> = {
  chromium: {
    isMet: () => chromiumPath() !== undefined,
    remedy: 'apt-get install chromium, or set CHROMIUM_PATH',
  },
  expendableNodes: {
    isMet: () => process.env['KUBECONFIG'] === undefined,
    remedy: 'unset KUBECONFIG: only nodes of the test cluster may be crashed',
  },
  linux: { isMet: () => process.platform === 'linux', remedy: 'run it on Linux' },
  loopDevice: {
    isMet: () => existsSync('/dev/loop-control') && existsSync('/usr/sbin/mkfs.ext4'),
    remedy: 'apt-get install e2fsprogs; in a container: run it with --privileged',
  },
  root: { isMet: () => process.getuid?.() === 0, remedy: 'run it as root' },
};

/** A Chromium that is installed here, or undefined. */
export function chromiumPath(): string | undefined {
  const configured = process.env['CHROMIUM_PATH'];
  const candidates = configured === undefined ? CHROMIUM_PATHS : [configured];
  return candidates.find((path) => existsSync(path));
}

/**
 * `it` for a test that needs `facilities`. Where one is missing the test is skipped, and its name
 * says why and how to get it; in CI, where everything has to run, it fails instead.
 *
 * The one way to skip a test: the tidy test refuses every other.
 */
export function requires(
  ...facilities: readonly Facility[]
): (name: string, test: () => Promise<void> | void, timeoutMs?: number) => void {
  const missing = facilities.filter((facility) => !REQUIREMENTS[facility].isMet());
  if (missing.length === 0) return it;
  const reason = missing.map((name) => `needs ${name}: ${REQUIREMENTS[name].remedy}`).join('; ');
  if (process.env['CI'] === undefined) {
    return (name, test) => {
      it.skip(`${name} (skipped, ${reason})`, test);
    };
  }
  return (name) => {
    it(name, () => {
      throw new Error(`in CI every test has to run, and this one ${reason}`);
    });
  };
}

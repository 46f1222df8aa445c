import { run, succeeds } from './command.ts';

/** Debian's packages that the bed runs on, by a program or file each of them brings. */
const PACKAGES = [
  ['containerd', 'containerd'],
  ['runc', 'runc'],
  ['containernetworking-plugins', '/usr/lib/cni/bridge'],
  ['iptables', 'iptables'],
  ['iproute2', 'ip'],
  ['busybox-static', 'busybox'],
  ['openssl', 'openssl'],
  ['util-linux', 'nsenter'],
] as const;

/**
 * Makes sure that this machine can run the bed; installs Debian's packages when they are missing.
 *
 * @throws Error that says everything that is missing and how to get it.
 */
export async function requireBed(print: (line: string) => void): Promise<void> {
  const missing: string[] = [];
  if (process.platform !== 'linux') missing.push('Linux');
  if (process.getuid?.() !== 0) missing.push('root: run it with sudo');
  if (!(await succeeds('go', ['version']))) {
    missing.push('Go 1.26 or newer: see https://go.dev/doc/install');
  }
  if (missing.length === 0) await installPackages(print, missing);
  if (missing.length === 0) return;
  throw new Error(
    `the test cluster cannot run here. Missing:\n${missing.map((one) => `  - ${one}\n`).join('')}` +
      'Or set KUBECONFIG to use a cluster that runs already.',
  );
}

async function installPackages(print: (line: string) => void, missing: string[]): Promise<void> {
  const absent: string[] = [];
  for (const [name, evidence] of PACKAGES) {
    if (!(await succeeds('sh', ['-c', `command -v ${evidence}`]))) absent.push(name);
  }
  if (absent.length === 0) return;
  print(`installing ${absent.join(', ')}`);
  const quiet = { env: { DEBIAN_FRONTEND: 'noninteractive' } };
  try {
    await run('apt-get', ['update', '-qq'], quiet);
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...absent], quiet);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    missing.push(`the packages ${absent.join(', ')}, which could not be installed: ${reason}`);
  }
}

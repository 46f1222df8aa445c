import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';
import { BED_FOLDER } from './paths.ts';

const SOURCES = join(import.meta.dirname, 'programs');
const KUBERNETES_VERSION = { git: 'v1.34.4', major: '1', minor: '34' };

/** The programs inside the one named kubernetes. */
const LINKS = [
  ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet'],
  ...['kubectl', 'etcd'],
];

/**
 * Builds the programs of the cluster from their Go modules: six to eight minutes on two cores, or
 * nothing when the same sources were built before. Resolves with the folder they are in.
 */
export async function buildPrograms(print: (line: string) => void): Promise<string> {
  const folder = join(BED_FOLDER, `programs-${hashOf(SOURCES)}`);
  if (existsSync(folder)) return folder;
  print('building Kubernetes, etcd and CoreDNS, once (some minutes) ...');
  const unfinished = `${folder}.unfinished`;
  mkdirSync(unfinished, { recursive: true });
  for (const name of ['pause', 'kubernetes', 'coredns']) {
    const flags = ['-trimpath', '-ldflags', name === 'kubernetes' ? versionFlags() : '-s -w'];
    await run('go', ['build', ...flags, '-o', join(unfinished, name), '.'], {
      cwd: join(SOURCES, name),
      env: { CGO_ENABLED: '0' },
    });
  }
  for (const name of LINKS) {
    if (!existsSync(join(unfinished, name))) symlinkSync('kubernetes', join(unfinished, name));
  }
  renameSync(unfinished, folder);
  return folder;
}

/** Without these the API server calls itself v0.0.0, which clients refuse. */
function versionFlags(): string {
  const values = {
    gitVersion: KUBERNETES_VERSION.git,
    gitMajor: KUBERNETES_VERSION.major,
    gitMinor: KUBERNETES_VERSION.minor,
    gitTreeState: 'archive',
    buildDate: '2026-01-01T00:00:00Z',
  };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  const flags = packages.flatMap((name) =>
    Object.entries(values).map(([key, value]) => `-X ${name}.${key}=${value}`),
  );
  return ['-s', '-w', ...flags].join(' ');
}

/** A hash of all files below a folder, by name and content. */
function hashOf(folder: string): string {
  const hash = createHash('sha256');
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  for (const file of files) hash.update(file.slice(folder.length)).update(readFileSync(file));
  return hash.digest('hex').slice(0, 16);
}

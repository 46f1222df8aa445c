import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './command.ts';
import { BED_FOLDER } from './paths.ts';

const SOURCES = join(import.meta.dirname, 'programs');
const KUBERNETES_VERSION = { git: 'v1.34.4', major: '1', minor: '34' };

/** The module has no program of its own: it names the one to build and all that it needs. */
const HELM_PROGRAM = 'helm.sh/helm/v4/cmd/helm';

/** The programs inside the one named kubernetes. */
const LINKS = [
  ...['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kube-proxy', 'kubelet'],
  ...['kubectl', 'etcd'],
];

/** What is built, each from the Go module in the folder of its name. */
const MODULES = ['pause', 'kubernetes', 'coredns', 'helm'] as const;

type Module = (typeof MODULES)[number];

/**
 * Builds the programs of the cluster from their Go modules: some ten minutes on two cores, or
 * nothing for those whose sources were built before. Resolves with the folder they are in.
 */
export async function buildPrograms(print: (line: string) => void): Promise<string> {
  const built = new Map<Module, string>();
  for (const name of MODULES) built.set(name, await buildModule(name, print));
  const folder = join(BED_FOLDER, `programs-${hashOf(SOURCES)}`);
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  for (const [name, program] of built) linkSync(program, join(unfinished, name));
  for (const name of LINKS) symlinkSync('kubernetes', join(unfinished, name));
  renameSync(unfinished, folder);
  return folder;
}

/** Builds one program unless its sources were built before; resolves with its path. */
export async function buildModule(name: Module, print: (line: string) => void): Promise<string> {
  const source = join(SOURCES, name);
  const program = join(BED_FOLDER, 'built', `${name}-${hashOf(source)}`);
  if (existsSync(program)) return program;
  print(`building ${name}, once ...`);
  mkdirSync(dirname(program), { recursive: true });
  const unfinished = `${program}.unfinished`;
  const flags = ['-trimpath', '-ldflags', name === 'kubernetes' ? versionFlags() : '-s -w'];
  const main = name === 'helm' ? HELM_PROGRAM : '.';
  await run('go', ['build', ...flags, '-o', unfinished, main], {
    cwd: source,
    env: { CGO_ENABLED: '0' },
  });
  renameSync(unfinished, program);
  return program;
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

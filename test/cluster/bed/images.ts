import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { run } from './command.ts';
import { packImage } from './image.ts';
import { IMAGES_FOLDER } from './paths.ts';

export const PAUSE_IMAGE = 'registry.local/pause:bed';
export const PRODUCT_IMAGE = 'registry.local/atomicraft:bed';

type LockFile = {
  readonly packages: Readonly<
    Record<string, { readonly dev?: boolean; readonly optional?: boolean }>
  >;
};

const PROJECT = resolve(import.meta.dirname, '../../..');
/** Name lookups load these at run time: no program lists them. */
const NAME_SERVICE_LIBRARIES = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2'];
/** What a person needs inside a container to look around. */
const SHELL_TOOLS = [
  ...['sh', 'cat', 'ls', 'ps', 'nslookup', 'sleep', 'wget'],
  ...['rm', 'kill', 'du', 'find'],
];

/** The client by its name, for people inside a container. */
const ATOMIC = '#!/bin/sh\nexec /usr/bin/node /app/deploy/entrypoint.mjs client "$@"\n';

/** Packs every image that the bed's pods run. */
export async function packImages(programs: string): Promise<void> {
  mkdirSync(IMAGES_FOLDER, { recursive: true });
  await pack(PAUSE_IMAGE, { Entrypoint: ['/pause'], User: '65535:65535' }, (root) => {
    cpSync(join(programs, 'pause'), join(root, 'pause'));
    return Promise.resolve();
  });
  const config = {
    Entrypoint: ['/usr/bin/node', '/app/deploy/entrypoint.mjs'],
    Env: ['PATH=/usr/bin:/bin', 'NODE_ENV=production'],
    WorkingDir: '/app',
    User: '65532:65532',
  };
  await pack(PRODUCT_IMAGE, config, fillProductImage);
}

/** The contents that deploy/Dockerfile gives the product's image, without a daemon to build it. */
async function fillProductImage(root: string): Promise<void> {
  for (const folder of ['proc', 'sys', 'dev', 'data', 'tmp', 'usr/bin', 'bin', 'etc', 'app']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  await copyProgram(process.execPath, join(root, 'usr/bin/node'), root);
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  for (const tool of SHELL_TOOLS) symlinkSync('busybox', join(root, 'bin', tool));
  writeFileSync(join(root, 'usr/bin/atomic'), ATOMIC, { mode: 0o755 });
  writeFileSync(join(root, 'etc/passwd'), 'nonroot:x:65532:65532::/app:/bin/sh\n');
  writeFileSync(join(root, 'etc/group'), 'nonroot:x:65532:\n');
  writeFileSync(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
  const app = join(root, 'app');
  await run(process.execPath, [join(PROJECT, 'scripts/build.ts')], { cwd: PROJECT });
  for (const part of ['dist', 'package.json', 'deploy/entrypoint.mjs']) {
    cpSync(join(PROJECT, part), join(app, part), { recursive: true });
  }
  for (const folder of productionPackages()) {
    cpSync(join(PROJECT, folder), join(app, folder), { recursive: true, dereference: true });
  }
}

/** Folders of the packages that the product needs at run time, as the lock file has them. */
function productionPackages(): readonly string[] {
  const lock = JSON.parse(readFileSync(join(PROJECT, 'package-lock.json'), 'utf8')) as LockFile;
  return Object.entries(lock.packages)
    .filter(([folder, { dev, optional }]) => folder !== '' && dev !== true && optional !== true)
    .map(([folder]) => folder);
}

/** Copies a program with the libraries that it is linked to. */
async function copyProgram(program: string, to: string, root: string): Promise<void> {
  copyFileSync(program, to);
  const linked = (await run('ldd', [program])).match(/\/lib\S+/g) ?? [];
  const [first = ''] = linked;
  const beside = NAME_SERVICE_LIBRARIES.map((name) => join(dirname(first), name));
  for (const library of [...linked, ...beside]) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    if (existsSync(library)) copyFileSync(library, join(root, library));
  }
}

async function pack(
  reference: string,
  config: Parameters<typeof packImage>[1]['config'],
  fill: (root: string) => Promise<void>,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'atomicraft-image-'));
  try {
    await fill(root);
    const name = reference.slice(reference.lastIndexOf('/') + 1).replace(':', '-');
    await packImage(root, { reference, config, archive: join(IMAGES_FOLDER, `${name}.tar`) });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packImage } from '../../cluster/bed/image.ts';

type Descriptor = { readonly digest: string; readonly size: number };
type Index = { readonly manifests: readonly (Descriptor & { readonly annotations: object })[] };
type Manifest = { readonly config: Descriptor; readonly layers: readonly Descriptor[] };
type Config = {
  readonly config: object;
  readonly rootfs: { readonly diff_ids: readonly string[] };
};

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atomicraft-image-'));
  mkdirSync(join(folder, 'root/app'), { recursive: true });
  writeFileSync(join(folder, 'root/app/program'), 'does something');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function pack(name: string): Promise<string> {
  const archive = join(folder, `${name}.tar`);
  const config = { Entrypoint: ['/app/program'], User: '65532:65532' };
  await packImage(join(folder, 'root'), { reference: 'registry.local/it:1', config, archive });
  return archive;
}

it('gives an archive in which every blob is what its digest says', async () => {
  const unpacked = join(folder, 'unpacked');
  mkdirSync(unpacked);
  execFileSync('tar', ['-C', unpacked, '-xf', await pack('image')]);
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const bytes = readFileSync(join(unpacked, 'blobs', digest.replace(':', '/')));
    expect(`sha256:${createHash('sha256').update(bytes).digest('hex')}`).toBe(digest);
    expect(bytes).toHaveLength(size);
    return bytes;
  };
  const json = (bytes: Buffer): unknown => JSON.parse(bytes.toString());
  const [listed] = (json(readFileSync(join(unpacked, 'index.json'))) as Index).manifests;
  if (listed === undefined) throw new Error('no manifest');
  expect(listed.annotations).toMatchObject({ 'io.containerd.image.name': 'registry.local/it:1' });
  const { config, layers } = json(blob(listed)) as Manifest;
  const { config: runs, rootfs } = json(blob(config)) as Config;
  expect(runs).toEqual({ Entrypoint: ['/app/program'], User: '65532:65532' });
  expect(rootfs.diff_ids).toEqual(layers.map(({ digest }) => digest));
  const [layer] = layers.map(blob);
  const names = execFileSync('tar', ['-t'], { input: layer ?? '' }).toString();
  expect(names.split('\n')).toContain('./app/program');
});

it('gives the same bytes for the same contents, whenever they were written', async () => {
  const first = readFileSync(await pack('first'));
  utimesSync(join(folder, 'root/app/program'), 1, 1);
  expect(readFileSync(await pack('second')).equals(first)).toBe(true);
  writeFileSync(join(folder, 'root/app/program'), 'does something else');
  expect(readFileSync(await pack('third')).equals(first)).toBe(false);
});

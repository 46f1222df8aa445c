import { createHash } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { run } from './command.ts';

/** What a container of the image runs, as in the OCI image configuration. */
export type ImageConfig = {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly User?: string;
};

type Descriptor = { readonly digest: string; readonly size: number };

/** The same folder always gives the same bytes, and so the same digest. */
const REPRODUCIBLE = [
  ...['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'],
];

const OCI = 'application/vnd.oci.image';

/** Packs a folder as an OCI image of one layer, in an archive that containerd imports. */
export async function packImage(
  folder: string,
  image: { readonly reference: string; readonly config: ImageConfig; readonly archive: string },
): Promise<void> {
  const { reference, config, archive } = image;
  const work = mkdtempSync(`${archive}.`);
  try {
    const store = new BlobStore(work);
    const layer = await store.addLayer(folder);
    const configBlob = store.addJson({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config,
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    });
    const manifest = store.addJson({
      schemaVersion: 2,
      mediaType: `${OCI}.manifest.v1+json`,
      config: { mediaType: `${OCI}.config.v1+json`, ...configBlob },
      layers: [{ mediaType: `${OCI}.layer.v1.tar`, ...layer }],
    });
    writeJson(join(work, 'oci-layout'), { imageLayoutVersion: '1.0.0' });
    const annotations = {
      'io.containerd.image.name': reference,
      'org.opencontainers.image.ref.name': reference.slice(reference.lastIndexOf(':') + 1),
    };
    writeJson(join(work, 'index.json'), {
      schemaVersion: 2,
      manifests: [{ mediaType: `${OCI}.manifest.v1+json`, ...manifest, annotations }],
    });
    const parts = ['oci-layout', 'index.json', 'blobs'];
    await run('tar', ['-C', work, ...REPRODUCIBLE, '-cf', `${archive}.new`, ...parts]);
    renameSync(`${archive}.new`, archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Blobs of an image layout, named by what is in them. */
class BlobStore {
  readonly #work: string;
  readonly #blobs: string;

  constructor(work: string) {
    this.#work = work;
    this.#blobs = join(work, 'blobs', 'sha256');
    mkdirSync(this.#blobs, { recursive: true });
  }

  async addLayer(folder: string): Promise<Descriptor> {
    const file = join(this.#work, 'layer.tar');
    await run('tar', ['-C', folder, ...REPRODUCIBLE, '-cf', file, '.']);
    return this.#add(file);
  }

  addJson(value: unknown): Descriptor {
    const file = join(this.#work, 'blob.json');
    writeJson(file, value);
    return this.#add(file);
  }

  #add(file: string): Descriptor {
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
    const { size } = statSync(file);
    renameSync(file, join(this.#blobs, digest));
    return { digest: `sha256:${digest}`, size };
  }
}

function writeJson(file: string, value: unknown): void {
  writeFileSync(file, JSON.stringify(value));
}

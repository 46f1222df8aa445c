import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const PROTO_DIRECTORY = 'proto';
const TEMPLATES = ['buf.gen.yaml', 'buf.gen.counters.yaml'];

/** Replaces proto/gen by what the .proto files say now. */
export async function regenerate(): Promise<void> {
  const output = join(PROTO_DIRECTORY, `.gen-${process.pid}`);
  await generateInto(output);
  await rm(join(PROTO_DIRECTORY, 'gen'), { recursive: true, force: true });
  await rename(join(output, 'gen'), join(PROTO_DIRECTORY, 'gen'));
  await rm(output, { recursive: true });
}

/** The files of proto/gen that differ from what the .proto files say; changes nothing. */
export async function staleFiles(): Promise<string[]> {
  const output = await mkdtemp(join(tmpdir(), 'atomicraft-gen-'));
  try {
    await generateInto(output);
    const [fresh, present] = await Promise.all([
      readTree(join(output, 'gen')),
      readTree(join(PROTO_DIRECTORY, 'gen')),
    ]);
    const names = new Set([...fresh.keys(), ...present.keys()]);
    return [...names].filter((name) => fresh.get(name) !== present.get(name)).sort();
  } finally {
    await rm(output, { recursive: true });
  }
}

async function generateInto(output: string): Promise<void> {
  for (const template of TEMPLATES) {
    const args = ['generate', '--template', template, '--output', resolve(output)];
    await run('buf', args, { cwd: PROTO_DIRECTORY });
  }
}

async function readTree(directory: string): Promise<Map<string, string>> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true });
  const contents = files
    .filter((file) => file.isFile())
    .map(async (file): Promise<[string, string]> => {
      const path = join(file.parentPath, file.name);
      return [path.slice(directory.length + 1), await readFile(path, 'utf8')];
    });
  return new Map(await Promise.all(contents));
}

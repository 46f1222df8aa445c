import { readFileSync } from 'node:fs';

/** The version in package.json, from the sources as well as from the compiled package. */
export function packageVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    const version = versionIn(new URL(path, import.meta.url));
    if (version !== undefined) return version;
  }
  return 'unknown';
}

function versionIn(file: URL): string | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof content !== 'object' || content === null) return undefined;
    const { name, version } = content as { readonly name?: unknown; readonly version?: unknown };
    return name === 'atomicraft' && typeof version === 'string' ? version : undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

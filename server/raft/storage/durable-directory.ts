import type { FileSystem } from './file-system.ts';

/**
 * Creates a folder and its missing parents so that they survive a crash: each new name is synced
 * in the folder that holds it. A file in a folder that was forgotten is lost, synced or not.
 */
export async function makeDurableDirectory(fileSystem: FileSystem, path: string): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (parent !== '' && (await fileSystem.stat(parent)) === undefined) {
    await makeDurableDirectory(fileSystem, parent);
  }
  if ((await fileSystem.stat(path)) !== undefined) return;
  await fileSystem.makeDirectory(path);
  await fileSystem.syncDirectory(parent === '' ? '/' : parent);
}

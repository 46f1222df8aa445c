import { RaftError } from '../error.ts';
import type { FileSystem } from './file-system.ts';

/**
 * Creates a folder and its missing parents so that they survive a crash: each name is synced in the
 * folder that holds it, and so are the names found inside. A file in a folder that was forgotten is
 * lost, synced or not.
 *
 * @throws RaftError EIO when something else stands there; the file system's error.
 */
export async function makeDurableDirectory(fileSystem: FileSystem, path: string): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (parent !== '' && (await fileSystem.stat(parent)) === undefined) {
    await makeDurableDirectory(fileSystem, parent);
  }
  const found = await fileSystem.stat(path);
  // Opening some of what is no folder, to sync it, would wait for ever.
  if (found?.directory === false) throw new RaftError('EIO', `${path} is not a folder`);
  if (found === undefined) await fileSystem.makeDirectory(path);
  // Also for one that is there: whoever made it may have been killed before it synced the name.
  await fileSystem.syncDirectory(parent === '' ? '/' : parent);
  // Names inside may likewise stand in memory alone; what is read from here on counts as durable.
  await fileSystem.syncDirectory(path);
}

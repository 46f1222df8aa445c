import { copyFile, mkdir, open, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { BackupError, readBackup, type BackupManifest } from '../backup-manifest.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { jsonOf, type Terminal } from '../terminal.ts';

type RestoreFlags = {
  readonly from: string;
  readonly dataPath: string;
  readonly group?: string;
  readonly json?: boolean;
};

/** The order to a server to start a new lineage from the files in RESTORE_FOLDER. */
const RESTORE_FILE = 'restore.json';
const RESTORE_FOLDER = 'restore';

/** `atomic admin restore`: prepares a data directory; a server that starts on it does the rest. */
export function restoreCommand(terminal: Terminal): Command {
  const command = new Command('restore')
    .description(
      'Check a backup and prepare an empty data directory from it, offline. The server started there begins a new lineage with the values of the backup.',
    )
    .requiredOption('--from <folder>', 'folder written by backup')
    .requiredOption('--data-path <folder>', 'data directory of the server to come')
    .option('--group <name>', "name of the group; default: the backup's")
    .option('--json', 'print JSON');
  return command.action(async () => {
    const flags = command.opts<RestoreFlags>();
    const manifest = await explaining(() => restore(flags));
    terminal.print(
      flags.json === true
        ? jsonOf({ dataPath: flags.dataPath, ...manifest })
        : `${flags.dataPath}: ready to start group ${manifest.group} from log index ${manifest.lastIncludedIndex}`,
    );
  });
}

async function restore({ from, dataPath, group }: RestoreFlags): Promise<BackupManifest> {
  const backup = await readBackup(from);
  const manifest = { ...backup, group: group ?? backup.group };
  await mkdir(dataPath, { recursive: true });
  if ((await readdir(dataPath)).length > 0) {
    throw new BackupError(
      `${dataPath} is not empty: restore into a new folder, nothing was changed`,
    );
  }
  const folder = join(dataPath, RESTORE_FOLDER);
  await mkdir(folder);
  for (const { name } of manifest.files) {
    await copyFile(join(from, name), join(folder, name));
    await sync(join(folder, name));
  }
  await sync(folder);
  await writeOrder(dataPath, manifest);
  return manifest;
}

/** Written last: without it a server sees a folder that is not empty and refuses it. */
async function writeOrder(dataPath: string, manifest: BackupManifest): Promise<void> {
  const temporary = join(dataPath, `${RESTORE_FILE}.tmp`);
  const file = await open(temporary, 'w');
  await file.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`);
  await file.sync();
  await file.close();
  await rename(temporary, join(dataPath, RESTORE_FILE));
  await sync(dataPath);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  await handle.sync();
  await handle.close();
}

async function explaining<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`Fail to restore : ${why}`, EXIT.braftFailure);
  }
}

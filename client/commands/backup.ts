import { mkdir, open, readdir, rename, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Metadata } from '@grpc/grpc-js';
import { Command } from 'commander';
import type { BackupResponse } from '../../proto/gen/atomic/v1/atomic.ts';
import { parsePeerId, peerAddress } from '../../server/raft/core/peer-id.ts';
import {
  isPlainName,
  MANIFEST_FILE,
  type BackupFile,
  type BackupManifest,
} from '../backup-manifest.ts';
import { ConnectionPool } from '../connection-pool.ts';
import { checksumText, crc32c } from '../../server/raft/encoding/crc32c.ts';
import { CommandError, EXIT } from '../exit-code.ts';
import { MembershipClient } from '../membership-client.ts';
import { jsonOf, type Terminal } from '../terminal.ts';
import { wholeNumber, withGroupFlags, type GroupFlags } from './arguments.ts';

type BackupFlags = GroupFlags & { readonly to: string; readonly peer?: string };

/** `atomic admin backup`: the newest snapshot of a member, checked, in a folder. */
export function backupCommand(terminal: Terminal): Command {
  const command = withGroupFlags(new Command('backup'), 600_000)
    .description('Save the newest snapshot of the leader, or of --peer, in a new folder.')
    .requiredOption('--to <folder>', 'folder to create')
    .option('--peer <peer>', 'the member to ask; default: the leader')
    .option('--max-retry <n>', 'repeats of the search for the leader', wholeNumber(0, 1_000), 3);
  return command.action(async () => {
    const flags = command.opts<BackupFlags>();
    const address = await sourceOf(flags);
    using pool = new ConnectionPool();
    const deadline = Date.now() + flags.timeoutMs;
    const stream = pool
      .to(address)
      .maintenance.backup({ group: flags.group }, new Metadata(), { deadline });
    const manifest = await explaining(() => receive(stream, flags));
    const bytes = manifest.files.reduce((sum, file) => sum + file.size, 0);
    terminal.print(
      flags.json === true
        ? jsonOf({ folder: flags.to, source: address, ...manifest })
        : `${flags.to}: ${manifest.files.length} files, ${bytes} bytes, up to log index ${manifest.lastIncludedIndex}`,
    );
  });
}

async function sourceOf({ peer, conf, group }: BackupFlags): Promise<string> {
  if (peer === undefined) {
    await using client = new MembershipClient({ group, conf });
    return peerAddress(await client.getLeader());
  }
  const parsed = parsePeerId(peer);
  if (parsed.ok) return peerAddress(parsed.peer);
  throw new CommandError(`--peer: ${parsed.reason}`, EXIT.braftFailure);
}

async function receive(
  chunks: AsyncIterable<BackupResponse>,
  { to, group }: BackupFlags,
): Promise<BackupManifest> {
  await mkdir(to, { recursive: true });
  if ((await readdir(to)).length > 0) throw new Error(`${to} exists and is not empty`);
  await using incoming = new IncomingBackup(to);
  for await (const chunk of chunks) await incoming.accept(chunk);
  const manifest = await incoming.finish(group);
  await writeManifest(to, manifest);
  return manifest;
}

/** A backup on its way in: files one after another, each in parts. */
class IncomingBackup implements AsyncDisposable {
  readonly #folder: string;
  readonly #files: BackupFile[] = [];
  #first: BackupResponse | undefined;
  #current: IncomingFile | undefined;
  #complete = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async accept(chunk: BackupResponse): Promise<void> {
    this.#first ??= chunk;
    if (chunk.file !== '' && chunk.file !== this.#current?.name) {
      await this.#finishFile();
      this.#current = await IncomingFile.create(this.#folder, chunk);
    }
    await this.#current?.write(chunk);
    this.#complete = chunk.last;
  }

  /** @throws Error if the last part did not come. */
  async finish(group: string): Promise<BackupManifest> {
    if (!this.#complete || this.#first === undefined) {
      throw new Error('the server ended the backup before its last part');
    }
    await this.#finishFile();
    const { lastIncludedIndex, lastIncludedTerm } = this.#first;
    return { format: 1, group, lastIncludedIndex, lastIncludedTerm, files: this.#files };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#current?.[Symbol.asyncDispose]();
  }

  async #finishFile(): Promise<void> {
    if (this.#current === undefined) return;
    this.#files.push(await this.#current.finish());
    await this.#current[Symbol.asyncDispose]();
    this.#current = undefined;
  }
}

/** A file on its way in; checked against what the server says of it. */
class IncomingFile implements AsyncDisposable {
  readonly name: string;
  readonly #file: FileHandle;
  readonly #announced: BackupResponse;
  #checksum = 0;
  #size = 0;

  private constructor(file: FileHandle, announced: BackupResponse) {
    this.#file = file;
    this.#announced = announced;
    this.name = announced.file;
  }

  static async create(folder: string, first: BackupResponse): Promise<IncomingFile> {
    if (!isPlainName(first.file)) throw new Error(`the server sent a bad file name: ${first.file}`);
    return new IncomingFile(await open(join(folder, first.file), 'wx'), first);
  }

  async write({ data, offset }: BackupResponse): Promise<void> {
    if (offset !== this.#size) throw new Error(`${this.name}: a part is missing at ${this.#size}`);
    await this.#file.write(data);
    this.#checksum = crc32c(data, this.#checksum);
    this.#size += data.length;
  }

  async finish(): Promise<BackupFile> {
    const { fileSize, fileChecksum } = this.#announced;
    if (this.#size !== fileSize) {
      throw new Error(`${this.name}: got ${this.#size} bytes instead of ${fileSize}`);
    }
    const checksum = checksumText(this.#checksum);
    if (fileChecksum !== '' && fileChecksum !== checksum) {
      throw new Error(`${this.name}: the checksum does not match what the server announced`);
    }
    await this.#file.sync();
    return { name: this.name, size: this.#size, crc32c: checksum };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** The manifest comes last and at once: a folder without it is no backup. */
async function writeManifest(folder: string, manifest: BackupManifest): Promise<void> {
  const temporary = join(folder, `${MANIFEST_FILE}.tmp`);
  const file = await open(temporary, 'w');
  await file.writeFile(`${JSON.stringify(manifest, undefined, 2)}\n`);
  await file.sync();
  await file.close();
  await rename(temporary, join(folder, MANIFEST_FILE));
  const directory = await open(folder, 'r');
  await directory.sync();
  await directory.close();
}

async function explaining<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(`Fail to backup : ${why}`, EXIT.braftFailure);
  }
}

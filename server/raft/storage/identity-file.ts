import { Incarnation, Lineage } from '../core/ids.ts';
import { checksumText, crc32c } from '../encoding/crc32c.ts';
import { RaftError } from '../error.ts';
import type { FileSystem } from './file-system.ts';
import type { Identity, IdentityStorage } from './identity-storage.ts';
import { parseOrder, parseReset } from './identity-reset.ts';
import { replaceFile } from './meta-file.ts';
import { damagedFile } from './storage-error.ts';

/** What a fresh disk is told about itself. */
export type FreshIdentity = {
  readonly group: string;
  readonly peer: string;
  /** Empty: adopted from the first leader. */
  readonly clusterId: string;
  /** Draws the random identity of a disk. */
  readonly drawIncarnation: () => string;
  /** The directory was written by braft, or by this program before it kept identities. */
  readonly hasData: boolean;
};

/**
 * Opens DIR/identity.json, or draws a new identity and makes it durable before anything is sent.
 *
 * @throws RaftError EINVAL when the directory belongs to another group, peer or cluster; EIO when
 *   the file is damaged.
 */
export async function openIdentity(
  fileSystem: FileSystem,
  directory: string,
  fresh: FreshIdentity,
): Promise<IdentityStorage> {
  const path = `${directory}/identity.json`;
  const save = (identity: Identity): Promise<void> =>
    replaceFile(fileSystem, path, encode(identity));
  let current: Identity;
  if ((await fileSystem.stat(path)) === undefined) {
    current = firstIdentity(fresh);
    await save(current);
  } else {
    current = parse(path, await fileSystem.readFile(path));
    checkOwner(directory, current, fresh);
  }
  // Updates follow each other: two at once could lose one.
  let tail: Promise<void> = Promise.resolve();
  const update: IdentityStorage['update'] = (changes) => {
    tail = tail.then(async () => {
      const merged = { ...current, ...changes };
      const formatVersion = Math.max(merged.formatVersion, formatVersionFor(merged));
      const changed = { ...merged, formatVersion };
      await save(changed);
      current = changed;
    });
    return tail;
  };
  return { current: () => current, update };
}

function firstIdentity({
  group,
  peer,
  clusterId,
  drawIncarnation,
  hasData,
}: FreshIdentity): Identity {
  return {
    clusterId,
    group,
    peer,
    incarnation: Incarnation(drawIncarnation()),
    lineage: undefined,
    bound: false,
    joined: hasData,
    reset: undefined,
    prepared: undefined,
    formatVersion: 1,
  };
}

function checkOwner(directory: string, identity: Identity, asked: FreshIdentity): void {
  const belongs = `the data directory ${directory} belongs to`;
  const remedy = 'use another directory, or start with what it belongs to';
  if (identity.group !== asked.group) {
    const text = `${belongs} group ${identity.group}, not ${asked.group}; ${remedy}`;
    throw new RaftError('EINVAL', text);
  }
  if (identity.peer !== asked.peer) {
    const text = `${belongs} peer ${identity.peer}, not ${asked.peer}; ${remedy}`;
    throw new RaftError('EINVAL', text);
  }
  const { clusterId } = identity;
  if (asked.clusterId !== '' && clusterId !== '' && clusterId !== asked.clusterId) {
    const text = `${belongs} cluster ${clusterId}, not ${asked.clusterId}; ${remedy}`;
    throw new RaftError('EINVAL', text);
  }
}

/** The identity as JSON with a checksum as its last field. */
function encode(identity: Identity): Uint8Array {
  const sealed = { ...identity, crc32c: checksumOf(identity) };
  return new TextEncoder().encode(`${JSON.stringify(sealed, null, 2)}\n`);
}

/** Of the fields in the order in which they stand in the file, without spaces. */
function checksumOf(content: object): string {
  return checksumText(crc32c(new TextEncoder().encode(JSON.stringify(content))));
}

function parse(path: string, bytes: Uint8Array): Identity {
  const { crc32c: checksum, ...content } = parseObject(path, bytes);
  if (checksum !== undefined && checksum !== checksumOf(content)) {
    throw damagedFile(path, 'its checksum does not match');
  }
  checkFormatVersion(path, content['formatVersion']);
  const identity = parseFields(path, content);
  // Files written before there was a checksum hold exactly the fields that were known then.
  const unknown = Object.keys(content).find((name) => !(name in identity));
  if (checksum === undefined && unknown !== undefined) {
    throw damagedFile(path, `"${unknown}" is no field of it`);
  }
  return identity;
}

function parseObject(path: string, bytes: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return { ...(Object(value) as Record<string, unknown>) };
  } catch (cause) {
    throw damagedFile(path, 'it is not JSON', cause);
  }
}

function checkFormatVersion(path: string, formatVersion: unknown): void {
  if (typeof formatVersion !== 'number' || formatVersion <= FORMAT_VERSION_MAX) return;
  const what = `format version ${String(formatVersion)}`;
  throw new RaftError('EINVAL', `${path} has ${what}, which this program cannot read; upgrade it`);
}

function parseFields(path: string, content: Record<string, unknown>): Identity {
  const wrong = (name: string): RaftError =>
    damagedFile(path, `"${name}" is missing or not as it should be`);
  const text = (name: string): string => {
    const field = content[name];
    if (typeof field === 'string') return field;
    throw wrong(name);
  };
  const flag = (name: string): boolean => {
    const field = content[name];
    if (typeof field === 'boolean') return field;
    throw wrong(name);
  };
  const formatVersion = content['formatVersion'];
  if (typeof formatVersion !== 'number') throw wrong('formatVersion');
  const reset = parseReset(content['reset']);
  if (reset === 'damaged') throw wrong('reset');
  const prepared = parseOrder(content['prepared']);
  if (prepared === 'damaged') throw wrong('prepared');
  return {
    clusterId: text('clusterId'),
    group: text('group'),
    peer: text('peer'),
    incarnation: Incarnation(text('incarnation')),
    lineage: 'lineage' in content ? Lineage(text('lineage')) : undefined,
    bound: flag('bound'),
    joined: flag('joined'),
    reset,
    prepared,
    formatVersion,
  };
}

/** A program that does not know of a reset would obey the configuration before it. */
function formatVersionFor({ reset, prepared }: Identity): number {
  return reset === undefined && prepared === undefined ? 1 : FORMAT_VERSION_MAX;
}

const FORMAT_VERSION_MAX = 2;

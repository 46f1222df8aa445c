import { Incarnation, Lineage } from '../core/ids.ts';
import { RaftError } from '../error.ts';
import type { FileSystem } from './file-system.ts';
import type { Identity, IdentityStorage } from './identity-storage.ts';
import { replaceFile } from './meta-file.ts';

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
    replaceFile(
      fileSystem,
      path,
      new TextEncoder().encode(`${JSON.stringify(identity, null, 2)}\n`),
    );
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
      const changed = { ...current, ...changes };
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

function parse(path: string, bytes: Uint8Array): Identity {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new RaftError('EIO', `${path} is damaged: it is not JSON`, { cause });
  }
  const fields = new Map(Object.entries(Object(value) as Record<string, unknown>));
  const text = (name: string): string => {
    const field = fields.get(name);
    if (typeof field === 'string') return field;
    throw new RaftError('EIO', `${path} is damaged: "${name}" is missing`);
  };
  const lineage = fields.get('lineage');
  const formatVersion = fields.get('formatVersion');
  if (typeof formatVersion !== 'number' || formatVersion > FORMAT_VERSION_MAX) {
    const what = `format version ${String(formatVersion)}`;
    throw new RaftError(
      'EINVAL',
      `${path} has ${what}, which this program cannot read; upgrade it`,
    );
  }
  return {
    clusterId: text('clusterId'),
    group: text('group'),
    peer: text('peer'),
    incarnation: Incarnation(text('incarnation')),
    lineage: typeof lineage === 'string' ? Lineage(lineage) : undefined,
    bound: fields.get('bound') === true,
    joined: fields.get('joined') === true,
    formatVersion,
  };
}

const FORMAT_VERSION_MAX = 1;

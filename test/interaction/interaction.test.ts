import { describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { env } from 'node:process';
import { rewritten } from '../support/golden-file.ts';

const FOLDER = new URL('golden/', import.meta.url);
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'));

/** `UPDATE_GOLDEN=1` writes what happens instead of comparing it: read the diff then. */
const updates = env['UPDATE_GOLDEN'] === '1';

describe('golden transcripts of the Raft core', () => {
  it.each(FILES)('%s', (name) => {
    const url = new URL(name, FOLDER);
    const before = readFileSync(url, 'utf8');
    const after = rewritten(before);
    if (updates && after !== before) writeFileSync(url, after);
    else expect(after).toBe(before);
  });
});

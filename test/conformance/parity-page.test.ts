import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Node } from '../../server/raft/node/node.ts';

const root = new URL('../../', import.meta.url);
const page = readFileSync(new URL('docs/braft-parity.md', root), 'utf8');

/** Every `file.test.ts`: "title", "title" of the page. */
function citations(): [file: string, title: string][] {
  const flat = page.replaceAll(/\s+/g, ' ');
  const found: [string, string][] = [];
  for (const match of flat.matchAll(/`([\w/.-]+\.test\.ts)`:((?: "[^"]+",?)+)/g)) {
    const [, file = '', titles = ''] = match;
    const path = file.includes('/') ? file : `test/conformance/${file}`;
    for (const title of titles.matchAll(/"([^"]+)"/g)) found.push([path, title[1] ?? '']);
  }
  return found;
}

describe('docs/braft-parity.md', () => {
  it.each(citations())('%s has the test "%s"', (file, title) => {
    const source = readFileSync(new URL(file, root), 'utf8');
    expect(source).toContain(title);
  });

  it('has a row for every method of Node', () => {
    const own = Object.getOwnPropertyNames(Node.prototype);
    const methods = own.filter((name) => !['constructor', 'state', 'failure'].includes(name));
    expect(methods.length).toBeGreaterThan(20);
    for (const method of methods) expect(page).toContain(`\`${method}`);
  });
});

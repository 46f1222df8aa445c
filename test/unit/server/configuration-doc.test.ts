import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { flagMeta, snakeCase } from '../../../server/config/command-line.ts';
import { serverFlagsSchema } from '../../../server/config/server-flags.ts';

describe('docs/configuration.md', () => {
  const text = readFileSync('docs/configuration.md', 'utf8').replaceAll(/\s+/g, ' ');

  it.each(Object.keys(serverFlagsSchema.shape))('explains %s as --help does', (name) => {
    expect(text).toContain(`\`--${snakeCase(name)}\``);
    expect(text).toContain(flagMeta(serverFlagsSchema, name)?.help.replaceAll('|', '\\|'));
  });
});

import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { camelCase, flagMeta, UsageError, type GivenFlags } from './command-line.ts';

const CONFIG_BYTES_MAX = 1 << 20;

/**
 * Reads a YAML file of flag values: a mapping from flag names (hyphens or underscores) to values.
 *
 * @throws UsageError when the file cannot be read, is no mapping, or names an unknown flag.
 */
export function readConfigFile(schema: z.ZodObject, path: string): GivenFlags {
  const document = parseDocument(contentOf(path));
  const [problem] = document.errors;
  if (problem !== undefined) {
    throw new UsageError(`${path}: not valid YAML: ${problem.message.split('\n')[0] ?? ''}`);
  }
  const content: unknown = document.toJS({ maxAliasCount: 0 });
  if (content === null) return {};
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new UsageError(`${path}: expected lines such as "port: 8100"`);
  }
  const given: Record<string, string | readonly string[]> = {};
  for (const [written, value] of Object.entries(content)) {
    const name = camelCase(written);
    const meta = flagMeta(schema, name);
    if (meta === undefined || name === 'config') {
      throw new UsageError(`${path}: unknown flag "${written}"; see --help for the names`);
    }
    given[name] = valueOf(value, { list: meta.kind === 'list', at: `${path}: ${written}` });
  }
  return given;
}

function contentOf(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(`--config: cannot read ${path} (${reason}); give a readable YAML file`);
  }
  if (bytes.length > CONFIG_BYTES_MAX) {
    throw new UsageError(`--config: ${path} is larger than ${String(CONFIG_BYTES_MAX)} bytes`);
  }
  return bytes.toString('utf8');
}

function valueOf(
  value: unknown,
  { list, at }: { readonly list: boolean; readonly at: string },
): string | readonly string[] {
  if (list) return (Array.isArray(value) ? value : [value]).map((item) => scalar(item, at));
  // A list of peers reads better than one long text.
  if (Array.isArray(value)) return value.map((item) => scalar(item, at)).join(',');
  return scalar(value, at);
}

function scalar(value: unknown, at: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  throw new UsageError(`${at}: expected a text, a number, true or false`);
}

import { describe, expect, it } from '@jest/globals';
import { atomicClusterSpecSchema } from '../../../../operator/api/atomic-cluster.ts';
import { atomicClusterDefinition, specJsonSchema } from '../../../../operator/api/crd.ts';
import { durationMs } from '../../../../operator/api/duration.ts';
import { quantityBytes } from '../../../../operator/api/quantity.ts';

type Schema = { readonly [key: string]: unknown };

/** Every schema inside of a schema, with its path. */
function schemasIn(value: unknown, path = ''): readonly (readonly [string, Schema])[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.entries(value).flatMap(([key, field]) =>
    schemasIn(field, `${path}.${key}`),
  );
  const isSchema = 'type' in value && typeof value.type === 'string' && !path.includes('.default');
  return isSchema ? [[path, { ...value }], ...inside] : inside;
}

const definition = atomicClusterDefinition() as {
  readonly spec: { readonly versions: readonly { readonly schema: object }[] };
};
const schemas = schemasIn(definition.spec.versions[0]?.schema);

describe('the definition of AtomicCluster', () => {
  it('stays small enough for every way to apply it', () => {
    expect(JSON.stringify(definition).length).toBeLessThan(200 * 1024);
  });

  it('describes every field', () => {
    const silent = schemas.filter(
      ([path, { description }]) =>
        description === undefined && !/\.(additionalProperties|metadata|items)$/.test(path),
    );
    expect(silent.map(([path]) => path)).toEqual([]);
  });

  it('refuses names that Kubernetes has objects of', () => {
    const rule = `!(self.metadata.name in ['default', 'kubernetes'])`;
    const rules = schemas.flatMap(([, schema]) => schema['x-kubernetes-validations'] ?? []);
    expect(rules).toContainEqual(expect.objectContaining({ rule }));
  });

  it('bounds every text and list, so that rules on them have a known cost', () => {
    const unbounded = schemas.filter(([, schema]) => {
      if (schema['type'] === 'string') {
        return !('maxLength' in schema || 'enum' in schema || schema['format'] === 'date-time');
      }
      return schema['type'] === 'array' && !('maxItems' in schema);
    });
    expect(unbounded.map(([path]) => path)).toEqual([
      '.openAPIV3Schema.properties.apiVersion',
      '.openAPIV3Schema.properties.kind',
    ]);
  });

  it('gives what an empty spec leaves out the values that the operator takes', () => {
    const spec = schemas.find(([path]) => path === '.openAPIV3Schema.properties.spec')?.[1];
    const properties = spec?.['properties'] as Readonly<Record<string, Schema>>;
    const defaults = Object.entries(properties).filter(([, field]) => 'default' in field);
    const filled = Object.fromEntries(defaults.map(([name, field]) => [name, field['default']]));
    expect(filled).toEqual(atomicClusterSpecSchema.parse({}));
  });

  it('refuses unknown values in a chart at every depth', () => {
    const open = schemasIn(specJsonSchema()).filter(
      ([, schema]) => 'properties' in schema && schema['additionalProperties'] !== false,
    );
    expect(open).toEqual([]);
  });
});

describe('durations and sizes of a spec', () => {
  it.each([
    ['0s', 0],
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['168h', 604_800_000],
  ])('%s is %d ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each(['', '5', '1.5s', '-1s', '5 m', '1d'])('"%s" is no duration', (text) => {
    expect(() => durationMs(text)).toThrow(RangeError);
  });

  it.each([
    ['1024', 1_024],
    ['1Ki', 1_024],
    ['10Gi', 10 * 2 ** 30],
    ['1M', 1_000_000],
  ])('%s is %d bytes', (text, bytes) => {
    expect(quantityBytes(text)).toBe(bytes);
  });
});

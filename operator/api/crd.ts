import { z } from 'zod';
import {
  ATOMIC_CLUSTER,
  atomicClusterSpecSchema,
  atomicClusterStatusSchema,
} from './atomic-cluster.ts';

type Schema = Record<string, unknown>;

const NAME_LENGTH_MAX = 40;

/** `a-peer` is the name of a Service of cluster `a`, `a-0` that of its first member. */
const TAKEN = '-(peer|leader|read|auth|[0-9]+)$';

/** Kubernetes has a Service, or in each namespace a ServiceAccount, of these names. */
const RESERVED = ['default', 'kubernetes'];

const rules = [
  {
    rule: `!self.metadata.name.matches('${TAKEN}')`,
    message:
      'a name that ends in -peer, -leader, -read, -auth or a number belongs to the objects of another cluster: choose another one',
  },
  {
    rule: `!(self.metadata.name in [${RESERVED.map((name) => `'${name}'`).join(', ')}])`,
    message: `${RESERVED.join(' and ')} are names of objects of Kubernetes itself: choose another one`,
  },
  {
    rule: `self.metadata.name.size() <= ${String(NAME_LENGTH_MAX)} && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')`,
    message: `the name becomes part of host names: at most ${String(NAME_LENGTH_MAX)} lower-case letters, digits and "-", beginning with a letter`,
  },
];

/** The CustomResourceDefinition of AtomicCluster, from the same source as its types. */
export function atomicClusterDefinition(): object {
  const { group, version, plural, kind } = ATOMIC_CLUSTER;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: 'atomiccluster',
        shortNames: ['ac'],
        categories: ['atomic'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: {
            status: {},
            scale: {
              specReplicasPath: '.spec.replicas',
              statusReplicasPath: '.status.replicas',
              labelSelectorPath: '.status.selector',
            },
          },
          additionalPrinterColumns: printerColumns(),
          schema: { openAPIV3Schema: objectSchema() },
        },
      ],
    },
  };
}

/** The spec alone, for the values of the chart: unknown fields are refused there. */
export function specJsonSchema(): object {
  return strict(adapted(jsonSchema(atomicClusterSpecSchema, 'draft-2020-12'))) as object;
}

function objectSchema(): Schema {
  return {
    type: 'object',
    description: 'A replicated group of atomic counters.',
    'x-kubernetes-validations': rules,
    properties: {
      apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
      kind: { type: 'string', description: 'Kind of this object.' },
      metadata: { type: 'object' },
      spec: structural({ ...jsonSchema(atomicClusterSpecSchema, 'openapi-3.0'), default: {} }),
      status: structural(jsonSchema(atomicClusterStatusSchema, 'openapi-3.0')),
    },
  };
}

function printerColumns(): readonly object[] {
  const column = (name: string, type: string, jsonPath: string, more: object = {}) => ({
    name,
    type,
    jsonPath,
    ...more,
  });
  return [
    column('Replicas', 'integer', '.spec.replicas'),
    column('Ready', 'integer', '.status.readyReplicas'),
    column('Leader', 'string', '.status.leader'),
    column('Tolerance', 'integer', '.status.faultTolerance'),
    column('Status', 'string', '.status.conditions[?(@.type=="Ready")].reason'),
    column('Operation', 'string', '.status.operation.type'),
    column('Version', 'string', '.status.version'),
    column('Age', 'date', '.metadata.creationTimestamp'),
    column('Term', 'integer', '.status.term', { priority: 1 }),
    column('Configuration', 'integer', '.status.configurationIndex', { priority: 1 }),
    column('Updated', 'integer', '.status.updatedReplicas', { priority: 1 }),
    column('Lineage', 'string', '.status.lineage.id', { priority: 1 }),
  ];
}

function jsonSchema(schema: z.ZodType, target: 'openapi-3.0' | 'draft-2020-12'): Schema {
  return z.toJSONSchema(schema, { target, io: 'input' });
}

/** A schema as the API server takes it (a structural schema). */
function structural(value: unknown): Schema {
  return withWholeDefaults(adapted(value) as Schema);
}

/** A schema that knows nothing of Kubernetes and refuses what it does not know. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([key]) => !key.startsWith('x-kubernetes-'));
  const closed = 'properties' in value && value.properties !== undefined;
  return {
    ...Object.fromEntries(fields.map(([key, field]) => [key, strict(field)])),
    ...(closed && { additionalProperties: false }),
  };
}

function adapted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(adapted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key, field]) => isWanted(key, field));
  return Object.fromEntries(entries.map(([key, field]) => [key, adapted(field)]));
}

function isWanted(key: string, field: unknown): boolean {
  if (key === '$schema' || key === 'propertyNames') return false;
  // Without it unknown fields are pruned, or kept where a flag beside it says so.
  if (key === 'additionalProperties') return !isEmptyOrFalse(field);
  // What any whole number satisfies.
  const bound = key === 'minimum' || key === 'maximum';
  return !(bound && Math.abs(Number(field)) === Number.MAX_SAFE_INTEGER);
}

function isEmptyOrFalse(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return schema === false;
  return Object.keys(schema).length === 0;
}

/** The API server checks the default of an object before it fills in the defaults of its fields. */
function withWholeDefaults(schema: Schema): Schema {
  const properties = schema['properties'] as Readonly<Record<string, Schema>> | undefined;
  if (properties === undefined) return schema;
  const whole = Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, withWholeDefaults(field)]),
  );
  const defaults = Object.entries(whole).filter(([, field]) => 'default' in field);
  return {
    ...schema,
    properties: whole,
    ...('default' in schema && {
      default: Object.fromEntries(defaults.map(([name, field]) => [name, field['default']])),
    }),
  };
}

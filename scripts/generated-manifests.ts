import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { atomicClusterDefinition, specJsonSchema } from '../operator/api/crd.ts';
import { referenceText } from './reference-text.ts';

const NOTICE = '# Made by `npm run generate` from operator/api. Do not edit.\n';

/** What the API source says, by the file that it is written to. */
export function generatedManifests(): ReadonlyMap<string, string> {
  const definition = atomicClusterDefinition();
  return new Map([
    ['deploy/crd.yaml', NOTICE + yaml(definition)],
    ['helm/atomic-operator/templates/crd.yaml', chartDefinition(definition)],
    ['helm/atomic-cluster/values.schema.json', `${JSON.stringify(valuesSchema(), null, 2)}\n`],
    ['docs/reference/atomic-cluster.md', referenceText()],
  ]);
}

/** Writes all of them. */
export async function writeManifests(): Promise<void> {
  for (const [file, text] of generatedManifests()) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }
}

/** Those that differ from what the source says; changes nothing. */
export async function staleManifests(): Promise<string[]> {
  const stale: string[] = [];
  for (const [file, text] of generatedManifests()) {
    const present = await readFile(file, 'utf8').catch(() => '');
    if (present !== text) stale.push(file);
  }
  return stale;
}

/** Kept when the release goes: with the definition all clusters would be deleted. */
function chartDefinition(definition: object): string {
  const kept = {
    ...definition,
    metadata: {
      ...(definition as { readonly metadata: object }).metadata,
      annotations: { 'helm.sh/resource-policy': 'keep' },
    },
  };
  return `{{- if .Values.crds.enabled }}\n${NOTICE}${yaml(kept)}{{- end }}\n`;
}

/** The fields of a spec at the top of the values, and what is not part of it beside them. */
function valuesSchema(): object {
  const { properties, ...rest } = specJsonSchema() as { readonly properties: object };
  return {
    ...rest,
    properties: {
      ...properties,
      nameOverride: { type: 'string', description: 'Name of the AtomicCluster.' },
      annotations: { type: 'object', description: 'Annotations of the AtomicCluster.' },
      test: {
        type: 'object',
        description: 'What `helm test` runs.',
        additionalProperties: false,
        properties: { image: { type: 'string', description: 'An image of this product.' } },
      },
      global: { type: 'object', description: 'Given by charts that contain this one.' },
    },
    additionalProperties: false,
  };
}

function yaml(value: object): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

// What the charts render, without a cluster: `UPDATE_GOLDEN=1` writes it, read the diff then.
import { beforeAll, describe, expect, it } from '@jest/globals';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { env } from 'node:process';
import { parse } from 'yaml';
import { run } from './bed/command.ts';
import { buildModule } from './bed/programs.ts';
import { ownCluster } from './support/cluster-access.ts';
import { CLUSTER_CHART, OPERATOR_CHART } from './support/helm.ts';

const GOLDEN = join(import.meta.dirname, 'golden');
const EXAMPLES = resolve(import.meta.dirname, '../../deploy/examples');
const BUILD_MS = 600_000;

type Render = { readonly chart: string; readonly values: object };

const RENDERS: Readonly<Record<string, Render>> = {
  'operator-of-one-namespace': {
    chart: OPERATOR_CHART,
    values: { watchNamespace: 'counters', crds: { enabled: false }, aggregateRoles: false },
  },
  'operator-with-everything': {
    chart: OPERATOR_CHART,
    values: {
      image: {
        repository: 'registry.example/atomicraft',
        tag: '2.0.0',
        pullSecrets: [{ name: 'r' }],
      },
      replicas: 2,
      workers: 4,
      logLevel: 'debug',
      crds: { enabled: false },
      nodeSelector: { pool: 'system' },
      tolerations: [{ key: 'system', operator: 'Exists' }],
      affinity: { nodeAffinity: {} },
      priorityClassName: 'system-cluster-critical',
      podAnnotations: { team: 'storage' },
      monitoring: { serviceMonitor: true, prometheusRule: true, dashboards: true },
    },
  },
  'cluster-by-default': { chart: CLUSTER_CHART, values: {} },
  'cluster-like-the-example': { chart: CLUSTER_CHART, values: exampleSpec('production') },
  'cluster-of-another-image': {
    chart: CLUSTER_CHART,
    values: {
      nameOverride: 'numbers',
      annotations: { team: 'storage' },
      image: { repository: 'registry.example/atomicraft', pullSecrets: [{ name: 'registry' }] },
      version: '2.0.0',
      raft: { mapEntriesMax: 100_000_000 },
    },
  },
};

function exampleSpec(name: string): object {
  const example = parse(readFileSync(join(EXAMPLES, `${name}.yaml`), 'utf8')) as {
    readonly spec: object;
  };
  return example.spec;
}

let program = 'helm';

const helm = (args: readonly string[], values: object): Promise<string> =>
  run(program, [...args, '--values=-'], { input: JSON.stringify(values) });

beforeAll(async () => {
  if (ownCluster === undefined) program = await buildModule('helm', console.log);
}, BUILD_MS);

describe.each(Object.entries(RENDERS))('%s', (name, { chart, values }) => {
  it('passes the linter', async () => {
    expect(await helm(['lint', '--strict', chart], values)).toContain('0 chart(s) failed');
  });

  it('is rendered as before', async () => {
    const args = ['template', 'release', chart, '--namespace=space'];
    const rendered = await helm(args, values);
    const file = join(GOLDEN, `${name}.yaml`);
    if (env['UPDATE_GOLDEN'] === '1') {
      mkdirSync(GOLDEN, { recursive: true });
      writeFileSync(file, rendered);
    }
    expect(rendered).toBe(readFileSync(file, 'utf8'));
  });
});

import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createControllerMetrics } from '../../../operator/controller/metrics.ts';
import { createServerMetrics } from '../../../server/http/metrics.ts';

const CHART = resolve(import.meta.dirname, '../../../helm/atomic-operator');
const read = (path: string): string => readFileSync(join(CHART, path), 'utf8');

type Dashboard = {
  readonly uid: string;
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly description: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
  readonly templating: { readonly list: readonly { readonly query?: unknown }[] };
};

const DASHBOARDS = ['cluster', 'operator'] as const;
const dashboard = (name: string): Dashboard =>
  JSON.parse(read(`dashboards/${name}.json`)) as Dashboard;

/** Names of the metrics of both programs, histograms by each of their series. */
async function exported(): Promise<ReadonlySet<string>> {
  const controller = createControllerMetrics();
  const texts = [await createServerMetrics('1.0.0', () => []).text(), await controller.text()].map(
    ({ body }) => body,
  );
  const types = texts.flatMap((text) => [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)]);
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}

/** What stands in an expression where a metric can: words that are no function, label or keyword. */
function metricsIn(expression: string): readonly string[] {
  const bare = expression
    .replaceAll(/\{\{.*?\}\}/g, '')
    .replaceAll(/"[^"]*"/g, '')
    .replaceAll(/\{[^}]*\}/g, '')
    .replaceAll(/\[[^\]]*\]/g, '')
    .replaceAll(/\b(by|without|on|ignoring) \([^)]*\)/g, '');
  return [...bare.matchAll(/[a-z][a-z0-9_]*(?!\w|\s*\()/g)].map(([word]) => word);
}

const rules = (): readonly string[] =>
  [...read('templates/monitoring.yaml').matchAll(/^ +expr: (.+)$/gm)].map(([, text = '']) => text);

const expressions = (): readonly string[] => [
  ...rules(),
  ...DASHBOARDS.flatMap((name) =>
    dashboard(name).panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ),
];

describe('alerts and dashboards', () => {
  it('name metrics only that server or operator exports', async () => {
    const known = await exported();
    const named = expressions().flatMap(metricsIn);
    expect(named.length).toBeGreaterThan(30);
    expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  });

  it('each ask for a metric', () => {
    expect(rules().length).toBeGreaterThanOrEqual(6);
    expect(expressions().filter((one) => metricsIn(one).length === 0)).toEqual([]);
  });
});

describe.each(DASHBOARDS)('the dashboard of the %s', (name) => {
  it('has panels with a title, an explanation and an id each', () => {
    const { panels } = dashboard(name);
    expect(panels.filter(({ title, description }) => title === '' || description === '')).toEqual(
      [],
    );
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('finds its choices by a metric that is exported', async () => {
    const known = await exported();
    const asked = [...JSON.stringify(dashboard(name).templating).matchAll(/label_values\((\w+)/g)];
    expect(asked.map(([, metric = '']) => metric).filter((one) => !known.has(one))).toEqual([]);
  });
});

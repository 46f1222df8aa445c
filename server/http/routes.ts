import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { plain, type HttpAnswer, type HttpRequest, type HttpRoutes } from './http-server.ts';
import type { ClusterView } from './view.ts';

/** What the routes show; the server implements it. */
export type MonitoringSource = {
  readonly groups: () => readonly string[];
  /** The first sentence that says why the process should be replaced; undefined: it is fine. */
  readonly failure: () => string | undefined;
  /** Why this server should get no traffic, by group; empty: it is ready. */
  readonly notReady: () => readonly string[];
  /** Undefined: no such group. */
  readonly view: (group: string, samplesMax: number) => Promise<ClusterView> | undefined;
  /** braft's text form of one group, lines ended by "\n"; undefined: no such group. */
  readonly raftStat: (group: string) => string | undefined;
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
};

const SAMPLES_MAX = 600;
const SAMPLES_DEFAULT = 60;

/** The paths of a server's HTTP port. */
export function monitoringRoutes(source: MonitoringSource): HttpRoutes {
  const assets = loadAssets();
  return (request) => {
    const asset = assets.get(request.path);
    if (asset !== undefined) return asset;
    switch (request.path) {
      case '/healthz':
        return healthz(source);
      case '/readyz':
        return readyz(source);
      case '/metrics':
        return metrics(source);
      case '/status.json':
        return statusJson(source, request);
      default:
        return raftStat(source, request);
    }
  };
}

function loadAssets(): ReadonlyMap<string, HttpAnswer> {
  const require = createRequire(import.meta.url);
  const here = (name: string) => new URL(name, import.meta.url);
  const asset = (file: string | URL, type: string): HttpAnswer => ({
    status: 200,
    contentType: `${type}; charset=utf-8`,
    body: readFileSync(file),
  });
  const library = (file: string, type: string) => ({
    ...asset(require.resolve(file), type),
    cacheable: true,
  });
  return new Map([
    ['/', asset(here('status.html'), 'text/html')],
    ['/assets/status.css', asset(here('status.css'), 'text/css')],
    ['/assets/status.js', asset(here('status.js'), 'text/javascript')],
    ['/assets/uplot.css', library('uplot/dist/uPlot.min.css', 'text/css')],
    ['/assets/uplot.js', library('uplot/dist/uPlot.iife.min.js', 'text/javascript')],
  ]);
}

function healthz(source: MonitoringSource): HttpAnswer {
  const failure = source.failure();
  return failure === undefined ? plain(200, 'ok\n') : plain(503, `${failure}\n`);
}

function readyz(source: MonitoringSource): HttpAnswer {
  const reasons = source.notReady();
  return reasons.length === 0 ? plain(200, 'ok\n') : plain(503, `${reasons.join('\n')}\n`);
}

async function metrics(source: MonitoringSource): Promise<HttpAnswer> {
  const { contentType, body } = await source.metrics();
  return { status: 200, contentType, body };
}

async function statusJson(source: MonitoringSource, request: HttpRequest): Promise<HttpAnswer> {
  const group = request.query.get('group') ?? source.groups()[0] ?? '';
  const samples = request.query.get('samples') ?? String(SAMPLES_DEFAULT);
  if (!/^\d{1,4}$/.test(samples)) return plain(400, 'samples: expected a whole number\n');
  const view = await source.view(group, Math.min(Number(samples), SAMPLES_MAX));
  if (view === undefined) return plain(404, 'no such group on this server\n');
  const body = JSON.stringify(view);
  return { status: 200, contentType: 'application/json; charset=utf-8', body };
}

/** braft's page: /raft_stat for all groups of this server, /raft_stat/GROUP for one. */
function raftStat(source: MonitoringSource, request: HttpRequest): HttpAnswer | undefined {
  const match = /^\/raft_stat(?:\/(.*))?$/.exec(request.path);
  if (match === null) return undefined;
  const named = match[1] ?? '';
  const groups = named === '' ? source.groups() : [named];
  const texts = groups.flatMap((group) => source.raftStat(group) ?? []);
  if (request.wantsHtml) return html(texts.join('\n'), source.groups());
  return plain(200, texts.join('\n').replaceAll('\n', '\r\n'));
}

function html(text: string, groups: readonly string[]): HttpAnswer {
  const links = groups
    .map((group) => `<a href="/raft_stat/${encodeURIComponent(group)}">${escaped(group)}</a>`)
    .join(' ');
  const body =
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>raft_stat</title>` +
    `<p><a href="/">status page</a> ${links}</p>` +
    `<p>${escaped(text).replaceAll('\n', '<br>\n')}</p></html>\n`;
  return { status: 200, contentType: 'text/html; charset=utf-8', body };
}

function escaped(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
  };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character);
}

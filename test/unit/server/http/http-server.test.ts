import { afterEach, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { MonitoringHttpServer } from '../../../../server/http/http-server.ts';
import { monitoringRoutes, type MonitoringSource } from '../../../../server/http/routes.ts';
import type { ClusterView } from '../../../../server/http/view.ts';
import { silentLogger } from '../../../../server/raft/index.ts';

const servers: MonitoringHttpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

const VIEW: ClusterView = {
  group: 'A<B',
  groups: ['A<B'],
  server: { peer: 'p', version: '1', pid: 1, ready: true, reason: '' },
  leader: null,
  term: 1,
  configurationIndex: 0,
  changing: false,
  members: [],
};

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function serve(changes: Partial<MonitoringSource> = {}): Promise<string> {
  const source: MonitoringSource = {
    groups: () => ['A<B'],
    failure: () => undefined,
    notReady: () => [],
    view: (group) => (group === 'A<B' ? Promise.resolve(VIEW) : undefined),
    raftStat: (group) => (group === 'A<B' ? `[${group}]\npeer_id: p\n` : undefined),
    metrics: () => Promise.resolve({ contentType: 'text/plain', body: 'raft_term 1\n' }),
    ...changes,
  };
  const server = new MonitoringHttpServer(monitoringRoutes(source), silentLogger);
  const port = await freePort();
  await server.listen(port, '127.0.0.1');
  servers.push(server);
  return `http://127.0.0.1:${String(port)}`;
}

describe('the HTTP port', () => {
  it('serves the page and its assets, and nothing of others', async () => {
    const home = await serve();
    const page = await fetch(`${home}/`);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
    const paths = [...(await page.text()).matchAll(/(?:href|src)="(\/assets\/[^"]+)"/g)];
    expect(paths.length).toBeGreaterThanOrEqual(4);
    for (const [, path = ''] of paths) {
      const asset = await fetch(home + path);
      expect(asset.status).toBe(200);
      expect((await asset.text()).length).toBeGreaterThan(100);
    }
  });

  it.each([
    [{}, '/healthz', 200, 'ok\n'],
    [{ failure: () => 'the disk failed' }, '/healthz', 503, 'the disk failed\n'],
    [{}, '/readyz', 200, 'ok\n'],
    [{ notReady: () => ['no leader'] }, '/readyz', 503, 'no leader\n'],
    [{ notReady: () => ['no leader'] }, '/healthz', 200, 'ok\n'],
    [{}, '/metrics', 200, 'raft_term 1\n'],
    [{}, '/raft_stat', 200, '[A<B]\r\npeer_id: p\r\n'],
    [{}, '/raft_stat/A%3CB', 200, '[A<B]\r\npeer_id: p\r\n'],
    [{}, '/raft_stat/unknown', 200, ''],
    [{}, '/status.json?group=unknown', 404, 'no such group on this server\n'],
    [{}, '/status.json?samples=-1', 400, 'samples: expected a whole number\n'],
    [{}, '/%E0%A4%A', 400, 'the path is not valid\n'],
    [{}, '/assets/../../package.json', 404, 'nothing here; see / for the status page\n'],
  ] as const)('with %j answers %s with %d', async (changes, path, status, body) => {
    const home = await serve(changes);
    const response = await fetch(home + path, { headers: { accept: '*/*' } });
    expect(response.status).toBe(status);
    expect(await response.text()).toBe(body);
  });

  it('gives browsers raft_stat as escaped HTML', async () => {
    const home = await serve();
    const response = await fetch(`${home}/raft_stat`, { headers: { accept: 'text/html' } });
    expect(await response.text()).toContain('[A&lt;B]<br>');
  });

  it('allows only reading', async () => {
    const home = await serve();
    const response = await fetch(`${home}/healthz`, { method: 'POST' });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe('GET, HEAD');
  });

  it('answers a fault with 500 and goes on', async () => {
    const home = await serve({ metrics: () => Promise.reject(new Error('broken')) });
    expect((await fetch(`${home}/metrics`)).status).toBe(500);
    expect((await fetch(`${home}/healthz`)).status).toBe(200);
  });
});

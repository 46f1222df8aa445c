import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HealthServer } from '../../../../operator/controller/health-server.ts';
import { createControllerMetrics } from '../../../../operator/controller/metrics.ts';
import { silentLogger } from '../../../../operator/controller/logger.ts';

const problems: { live?: string; ready?: string } = {};
let failing = false;
let server: HealthServer;
let address: string;

beforeEach(async () => {
  delete problems.live;
  delete problems.ready;
  failing = false;
  const metrics = createControllerMetrics();
  server = new HealthServer({
    live: [{ problem: () => undefined }, { problem: () => problems.live }],
    ready: [{ problem: () => problems.ready }],
    metrics: () => (failing ? Promise.reject(new Error('broken')) : metrics.text()),
    logger: silentLogger,
  });
  address = `http://127.0.0.1:${await server.listen(0, '127.0.0.1')}`;
});

afterEach(async () => {
  await server.close();
});

async function ask(path: string, method = 'GET') {
  const response = await fetch(`${address}${path}`, { method });
  return { status: response.status, body: await response.text(), headers: response.headers };
}

describe('HealthServer', () => {
  it.each(['/healthz', '/readyz', '/healthz?verbose'])(
    'says that all is well at %s',
    async (path) => {
      expect(await ask(path)).toMatchObject({ status: 200, body: 'ok\n' });
    },
  );

  it('tells liveness and readiness apart', async () => {
    problems.ready = 'not synced';
    expect(await ask('/readyz')).toMatchObject({ status: 503, body: 'not synced\n' });
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
    problems.live = 'no contact';
    expect(await ask('/healthz')).toMatchObject({ status: 503, body: 'no contact\n' });
  });

  it('serves metrics', async () => {
    const { status, body, headers } = await ask('/metrics');
    expect([status, headers.get('content-type')]).toEqual([
      ...[200, 'text/plain; version=0.0.4; charset=utf-8'],
    ]);
    expect(body).toContain('process_cpu_seconds_total');
  });

  it.each([
    ['GET', '/', 404],
    ['GET', '/metrics/x', 404],
    ['POST', '/healthz', 405],
    ['DELETE', '/metrics', 405],
  ])('answers %s %s with %d', async (method, path, status) => {
    expect(await ask(path, method)).toMatchObject({ status });
  });

  it('answers HEAD without a body', async () => {
    expect(await ask('/healthz', 'HEAD')).toMatchObject({ status: 200, body: '' });
  });

  it('survives metrics that cannot be read', async () => {
    failing = true;
    expect(await ask('/metrics')).toMatchObject({ status: 500 });
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
  });

  it('can be closed twice', async () => {
    await server.close();
    await server.close();
    await expect(ask('/healthz')).rejects.toThrow('fetch failed');
  });
});

import { describe, expect, it } from '@jest/globals';
import { connect } from '../../../client/atomic-client.ts';
import { FakeAtomicServer } from '../../support/fake-atomic-server.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

/** Far longer than the test takes: a call that runs into it has hung. */
const HANG_MS = 20_000;

describe('an attempt to connect that nobody answers', () => {
  it('is given up for another one, which may succeed', async () => {
    await using server = await FakeAtomicServer.start({ port: 23_380 });
    // The first two callers hear nothing, the third is put through.
    await using proxy = await TcpProxy.listen(23_381, () => {
      if (proxy.connections > 2) proxy.restore();
      return server.port;
    });
    proxy.block('toTarget', 'toClient');
    await using client = connect({ servers: '127.0.0.1:23381', timeoutMs: HANG_MS });
    expect(await client.exchange(7n, 42n)).toBe(0n);
    expect(await client.get(7n)).toBe(42n);
    expect(proxy.connections).toBeGreaterThan(2);
  });
});

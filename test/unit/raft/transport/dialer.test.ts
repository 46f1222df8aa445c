import { describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Dialer } from '../../../../server/raft/transport/dialer.ts';

describe('Dialer', () => {
  it('does not forget a new place because an attempt at the old one failed late', () => {
    const dialer = new Dialer();
    dialer.heard('a', '10.0.0.1');
    const old = dialer.lastHeard('a');
    dialer.heard('a', '10.0.0.2');
    dialer.forget('a', old);
    expect(dialer.lastHeard('a')).toBe('10.0.0.2');
    dialer.forget('a', '10.0.0.2');
    expect(dialer.lastHeard('a')).toBeUndefined();
  });

  it('tries both the place that a server spoke from and the one that its name leads to', async () => {
    const server = createServer();
    await once(server.listen(21103, '127.0.0.1'), 'listening');
    const dialer = new Dialer();
    dialer.heard('localhost', '127.9.9.9');
    const reached = await new Promise((resolve) => {
      dialer.knock({ host: 'localhost', port: 21103, reached: resolve, failed: resolve });
    });
    expect(reached).toBe('127.0.0.1');
    server.close();
  });
});

import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../../../../server/raft/node/clock.ts';
import {
  bindGrpcServer,
  closeGrpcServer,
  createGrpcServer,
} from '../../../../server/raft/transport/grpc-server.ts';

describe('a gRPC server', () => {
  it('says so when its port is in use', async () => {
    const first = createGrpcServer();
    expect(await bindGrpcServer(first, '127.0.0.1:21120')).toBe(21120);
    const second = createGrpcServer();
    await expect(bindGrpcServer(second, '127.0.0.1:21120')).rejects.toMatchObject({
      code: 'EBUSY',
      message:
        'cannot listen at 127.0.0.1:21120: the port is in use; ' +
        'stop the program that uses it or choose another port',
    });
    await closeGrpcServer(first, { graceMs: 1_000, clock: systemClock });
    second.forceShutdown();
    const third = createGrpcServer();
    expect(await bindGrpcServer(third, '127.0.0.1:21120')).toBe(21120);
    await closeGrpcServer(third, { graceMs: 1_000, clock: systemClock });
  });

  it('names an address that cannot be used', async () => {
    const server = createGrpcServer();
    await expect(bindGrpcServer(server, '203.0.113.1:21121')).rejects.toMatchObject({
      code: 'EINVAL',
    });
    server.forceShutdown();
  });
});

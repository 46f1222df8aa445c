import { connect as dial, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { connect } from '../../../client/atomic-client.ts';
import { FakeAtomicServer } from '../../support/fake-atomic-server.ts';

const [DOOR, BEHIND] = [23_381, 23_380];
/** Far longer than the test takes: a call that runs into it has hung. */
const HANG_MS = 20_000;

const open: AsyncDisposable[] = [];

afterEach(async () => {
  for (const resource of open.splice(0).reverse()) await resource[Symbol.asyncDispose]();
});

/** Takes every caller; the first `silent` hear nothing, the others are put through. */
class Door implements AsyncDisposable {
  callers = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(silent: number) {
    this.#server = createServer((caller) => {
      this.#keep(caller);
      this.callers += 1;
      if (this.callers <= silent) return;
      const behind = this.#keep(dial(BEHIND, '127.0.0.1'));
      caller.pipe(behind).pipe(caller);
    });
  }

  static async open(silent: number): Promise<Door> {
    const door = new Door(silent);
    await new Promise<void>((listening) => door.#server.listen(DOOR, '127.0.0.1', listening));
    return door;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #keep(socket: Socket): Socket {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    return socket;
  }
}

describe('an attempt to connect that nobody answers', () => {
  it('is given up for another one, which may succeed', async () => {
    const door = await Door.open(2);
    const server = await FakeAtomicServer.start({ port: BEHIND });
    const client = connect({ servers: `127.0.0.1:${String(DOOR)}`, timeoutMs: HANG_MS });
    open.push(client, server, door);
    expect(await client.exchange(7n, 42n)).toBe(0n);
    expect(await client.get(7n)).toBe(42n);
    expect(door.callers).toBeGreaterThan(2);
  });
});

import { connect, createServer } from 'node:net';
import type { Server, Socket } from 'node:net';

type Direction = 'toTarget' | 'toClient';
type Pair = { readonly client: Socket; readonly target: Socket };

/**
 * A real TCP proxy whose connections can be made to fail in the ways of a network. Bytes that a
 * blocked direction holds back are dropped, as by a firewall; both ends keep thinking that all is
 * well (half-open).
 */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #targetPort: () => number;
  readonly #pairs = new Set<Pair>();
  readonly #blocked = new Set<Direction>();
  #delayMs = 0;
  #refusing = false;
  /** Connections taken so far. */
  connections = 0;
  /** Bytes passed on to the target so far. */
  bytesToTarget = 0;
  /** Bytes passed on to clients so far. */
  bytesToClient = 0;

  private constructor(targetPort: () => number) {
    this.#targetPort = targetPort;
    this.#server = createServer((client) => {
      this.#accept(client);
    });
  }

  /** Listens at `port` of 127.0.0.1 and passes on to `targetPort`, asked for each connection. */
  static async listen(port: number, targetPort: () => number): Promise<TcpProxy> {
    const proxy = new TcpProxy(targetPort);
    const listening = Promise.withResolvers<undefined>();
    proxy.#server.once('error', listening.reject);
    proxy.#server.listen(port, '127.0.0.1', () => {
      listening.resolve(undefined);
    });
    await listening.promise;
    return proxy;
  }

  /** Open connections. */
  get openConnections(): number {
    return this.#pairs.size;
  }

  /** Ends all connections in order and refuses new ones until `restore`. */
  cut(): void {
    this.#refusing = true;
    for (const { client, target } of [...this.#pairs]) {
      client.destroy();
      target.destroy();
    }
  }

  /** Ends all connections with a reset; new ones pass. */
  reset(): void {
    for (const { client, target } of [...this.#pairs]) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  /** Drops bytes of one direction, or of both (accept, then silence). */
  block(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#blocked.add(direction);
  }

  /** Passes each chunk on only after this long. */
  delay(delayMs: number): void {
    this.#delayMs = delayMs;
  }

  /** Everything passes again; connections that lost bytes are ended, as TCP would. */
  restore(): void {
    const lossy = this.#blocked.size > 0;
    this.#refusing = false;
    this.#blocked.clear();
    this.#delayMs = 0;
    if (lossy) this.reset();
  }

  async close(): Promise<void> {
    this.cut();
    const closed = Promise.withResolvers<undefined>();
    this.#server.close(() => {
      closed.resolve(undefined);
    });
    await closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    this.connections++;
    if (this.#refusing) {
      client.on('error', () => undefined);
      client.resetAndDestroy();
      return;
    }
    const target = connect({ port: this.#targetPort(), host: '127.0.0.1' });
    const pair = { client, target };
    this.#pairs.add(pair);
    this.#carry(pair, 'toTarget');
    this.#carry(pair, 'toClient');
  }

  #carry(pair: Pair, direction: Direction): void {
    const [from, to] =
      direction === 'toTarget' ? [pair.client, pair.target] : [pair.target, pair.client];
    from.setNoDelay(true);
    from.on('data', (bytes) => {
      if (this.#blocked.has(direction)) return;
      if (direction === 'toTarget') this.bytesToTarget += bytes.length;
      else this.bytesToClient += bytes.length;
      if (this.#delayMs === 0) to.write(bytes);
      else setTimeout(() => to.write(bytes), this.#delayMs);
    });
    // An error is followed by a close, which is passed on.
    from.on('error', () => undefined);
    from.on('close', () => {
      this.#pairs.delete(pair);
      to.destroy();
    });
  }
}

import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import { connect } from 'node:net';
import type { LookupFunction } from 'node:net';

/**
 * Looking up a name occupies a thread that the log's syncs need too, for seconds when the name
 * server is gone; so this many run at once and the others wait.
 */
const LOOKUPS_MAX = 2;

/** Where and how to knock. */
export type Knock = {
  readonly host: string;
  readonly port: number;
  readonly reached: (address: string) => void;
  readonly failed: (reason: string) => void;
};

/**
 * Finds out whether somebody listens at an address before a gRPC channel is built for it: a plain
 * socket can be given up at once, while grpc-js leaves a hanging connection attempt to the system
 * for minutes. Names are looked up afresh each time, as a peer may come back at another address.
 */
export class Dialer {
  readonly #lookups = new Map<string, Promise<LookupAddress[]>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /** Connects and hangs up; calls `reached` or `failed` once. The result gives up silently. */
  knock({ host, port, reached, failed }: Knock): () => void {
    const socket = connect({ host, port, lookup: this.#lookup });
    let over = false;
    const finish = (report: () => void): void => {
      if (over) return;
      over = true;
      report();
      socket.destroy();
    };
    socket.once('connect', () => {
      const { remoteAddress } = socket;
      finish(() => {
        if (remoteAddress === undefined) failed('the connection closed at once');
        else reached(remoteAddress);
      });
    });
    socket.on('error', (error) => {
      finish(() => {
        failed(reasonOf(error));
      });
    });
    return () => {
      finish(() => undefined);
    };
  }

  readonly #lookup: LookupFunction = (host, options, callback) => {
    this.#addressesOf(host).then(
      (addresses) => {
        const [first] = addresses;
        if (options.all === true) callback(null, addresses);
        else callback(null, first?.address ?? '', first?.family ?? 4);
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), []);
      },
    );
  };

  /** One lookup for each name at a time, however many connections ask. */
  #addressesOf(host: string): Promise<LookupAddress[]> {
    const known = this.#lookups.get(host);
    if (known !== undefined) return known;
    const lookup = this.#lookUp(host).finally(() => {
      this.#lookups.delete(host);
    });
    this.#lookups.set(host, lookup);
    return lookup;
  }

  async #lookUp(host: string): Promise<LookupAddress[]> {
    if (this.#running >= LOOKUPS_MAX) {
      const turn = Promise.withResolvers<undefined>();
      this.#waiting.push(() => {
        turn.resolve(undefined);
      });
      await turn.promise;
    }
    this.#running++;
    try {
      return await systemLookup(host, { all: true });
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }
}

function reasonOf(error: Error): string {
  // With several addresses tried, the reasons are inside.
  if (error instanceof AggregateError && error.message === '') {
    return error.errors.map((each) => (each instanceof Error ? each.message : '')).join(', ');
  }
  return error.message;
}

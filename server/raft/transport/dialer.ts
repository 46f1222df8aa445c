import { lookup as systemLookup } from 'node:dns/promises';
import type { LookupAddress } from 'node:dns';
import { connect, isIPv6 } from 'node:net';
import type { LookupFunction } from 'node:net';

/**
 * Looking up a name occupies a thread that the log's syncs need too, for seconds when the name
 * server is gone; so this many run at once and the others wait.
 */
const LOOKUPS_MAX = 2;
/** Hosts whose latest address is remembered; beyond that all are forgotten. */
const HEARD_MAX = 1_000;

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
  /** Where each host was last heard from. */
  readonly #heard = new Map<string, string>();
  #running = 0;

  /**
   * Notes that a trusted server of this host speaks from `address`: tried first from now on. A host
   * that came back elsewhere is found at once so, however old the name server's answers are.
   */
  heard(host: string, address: string): void {
    if (this.#heard.size >= HEARD_MAX) this.#heard.clear();
    this.#heard.set(host, address);
  }

  /** Where a host was last heard from. */
  lastHeard(host: string): string | undefined {
    return this.#heard.get(host);
  }

  /** `address` led nowhere: the name server alone is asked again, unless more was heard since. */
  forget(host: string, address: string | undefined): void {
    if (this.#heard.get(host) === address) this.#heard.delete(host);
  }

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
    this.#candidatesFor(host).then(
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

  /** The address heard from last, and what the name server says, if it says anything. */
  async #candidatesFor(host: string): Promise<LookupAddress[]> {
    const address = this.#heard.get(host);
    if (address === undefined) return this.#addressesOf(host);
    const heard = { address, family: isIPv6(address) ? 6 : 4 };
    const found = await this.#addressesOf(host).catch((): LookupAddress[] => []);
    return [heard, ...found.filter((one) => one.address !== address)];
  }

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

import { Client, credentials } from '@grpc/grpc-js';

const CHECK = '/grpc.health.v1.Health/Check';
const TIMEOUT_MS = 2_000;
const STATUS = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];

/** Asks grpc.health.v1 as a supervisor would. */
export class HealthClient implements Disposable {
  readonly #client: Client;

  constructor(address: string) {
    this.#client = new Client(address, credentials.createInsecure());
  }

  /** The status in the words of the protocol, or what the call failed with. */
  check(service: string): Promise<string> {
    const name = Buffer.from(service);
    // HealthCheckRequest and HealthCheckResponse have one field each.
    const encode = (): Buffer => Buffer.from([10, name.length, ...name]);
    const decode = (bytes: Buffer): string => STATUS[bytes[1] ?? 0] ?? 'unreadable';
    const deadline = Date.now() + TIMEOUT_MS;
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(CHECK, encode, decode, {}, { deadline }, (error, status) => {
        resolve(error === null ? (status ?? 'UNKNOWN') : error.message);
      });
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

import { Metadata, credentials, type ChannelOptions } from '@grpc/grpc-js';
import {
  MaintenanceServiceClient,
  type GetStateHashResponse,
} from '../../proto/gen/atomic/v1/atomic.ts';
import { peerAddress, type PeerId } from '../raft/index.ts';

const TIMEOUT_MS = 2_000;

/** A member that was moved has another address under its name, and is looked for soon. */
const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

/** Asks other members for the hash that they noted at a checkpoint: the self-check's port. */
export class HashClient implements Disposable {
  readonly #group: string;
  readonly #clients = new Map<PeerId, MaintenanceServiceClient>();

  constructor(group: string) {
    this.#group = group;
  }

  /** Undefined when the member keeps none for `index`; rejects when it does not answer. */
  fetchHash(peer: PeerId, index: number): Promise<bigint | undefined> {
    const client = this.#clientOf(peer);
    const deadline = Date.now() + TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const received = (error: Error | null, response?: GetStateHashResponse) => {
        if (error !== null) reject(error);
        else resolve(response?.found === true ? response.hash : undefined);
      };
      const request = { group: this.#group, index };
      client.getStateHash(request, new Metadata(), { deadline }, received);
    });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #clientOf(peer: PeerId): MaintenanceServiceClient {
    const known = this.#clients.get(peer);
    if (known !== undefined) return known;
    const insecure = credentials.createInsecure();
    const client = new MaintenanceServiceClient(peerAddress(peer), insecure, CHANNEL_OPTIONS);
    this.#clients.set(peer, client);
    return client;
  }
}

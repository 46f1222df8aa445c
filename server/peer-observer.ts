import { credentials, Metadata, type ChannelOptions, type ServiceError } from '@grpc/grpc-js';
import {
  MonitoringServiceClient,
  type GetActivityResponse,
} from '../proto/gen/atomic/v1/monitoring.ts';
import { CliServiceClient, type GetStatusResponse } from '../proto/gen/raft/v1/cli.ts';
import type { MemberAnswer } from './http/cluster-view.ts';
import type { MemberActivityView, MemberStatusView } from './http/view.ts';
import { peerAddress, type PeerId } from './raft/index.ts';
import { metadataWith, type SharedSecret } from './raft/transport/shared-secret.ts';

/** A member that takes longer is shown as not reachable. */
const ANSWER_TIMEOUT_MS = 1_000;

/** A member that was moved has another address under its name, and is looked for soon. */
const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.dns_min_time_between_resolutions_ms': 1_000,
  'grpc.max_reconnect_backoff_ms': 2_000,
};

type Clients = { readonly cli: CliServiceClient; readonly monitoring: MonitoringServiceClient };

/** Asks other members how they are, so that one server's page shows the whole group. */
export class PeerObserver {
  readonly #clients = new Map<string, Clients>();
  readonly #secret: SharedSecret | undefined;

  constructor(secret: SharedSecret | undefined) {
    this.#secret = secret;
  }

  async ask(group: string, peer: PeerId, samplesMax: number): Promise<MemberAnswer> {
    const { cli, monitoring } = this.#clientsOf(peerAddress(peer));
    try {
      const status = await call<GetStatusResponse>((done) =>
        cli.getStatus(
          { groupId: group, peerId: peer, linearizable: false },
          metadataWith(this.#secret),
          deadline(),
          done,
        ),
      );
      const activity = await call<GetActivityResponse>((done) =>
        monitoring.getActivity({ group, samplesMax }, new Metadata(), deadline(), done),
      ).catch(() => undefined);
      return { status: statusFrom(status), activity: activityFrom(activity) };
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  close(): void {
    for (const { cli, monitoring } of this.#clients.values()) {
      cli.close();
      monitoring.close();
    }
    this.#clients.clear();
  }

  #clientsOf(address: string): Clients {
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const insecure = credentials.createInsecure();
    const clients = {
      cli: new CliServiceClient(address, insecure, CHANNEL_OPTIONS),
      monitoring: new MonitoringServiceClient(address, insecure, CHANNEL_OPTIONS),
    };
    this.#clients.set(address, clients);
    return clients;
  }
}

function deadline(): { readonly deadline: number } {
  return { deadline: Date.now() + ANSWER_TIMEOUT_MS };
}

function call<Response>(
  start: (done: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    start((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

function statusFrom(status: GetStatusResponse): MemberStatusView {
  return {
    state: status.state.toLowerCase(),
    leader: status.leaderId === '' ? null : status.leaderId,
    term: status.term,
    readonly: status.readonly,
    joined: status.joined,
    committedIndex: status.committedIndex,
    appliedIndex: status.knownAppliedIndex,
    firstIndex: status.firstIndex,
    lastIndex: status.lastIndex,
    diskIndex: status.diskIndex,
    snapshotIndex: status.snapshotIndex,
  };
}

function activityFrom(activity: GetActivityResponse | undefined): MemberActivityView | undefined {
  if (activity === undefined) return undefined;
  const none = { count: 0, p50Ms: 0, p99Ms: 0 };
  const samples = activity.samples.map(({ writes = none, reads = none, ...sample }) => ({
    ...sample,
    writes,
    reads,
  }));
  return { ...activity, samples };
}

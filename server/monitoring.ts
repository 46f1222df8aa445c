import type { MonitoringServiceServer } from '../proto/gen/atomic/v1/monitoring.ts';
import type { ServerOptions } from './flags.ts';
import type { GroupServer } from './group-server.ts';
import { clusterView, otherMembers, statusView, type MemberAnswer } from './http/cluster-view.ts';
import type { GroupMeasurements, ServerMetrics } from './http/metrics.ts';
import { notReadyReason } from './http/readiness.ts';
import type { MonitoringSource } from './http/routes.ts';
import type { ClusterView, MemberActivityView } from './http/view.ts';
import type { PeerObserver } from './peer-observer.ts';
import { raftStat, type PeerId } from './raft/index.ts';
import { status as grpcStatus } from '@grpc/grpc-js';

/** What monitoring needs of the running server. */
export type Monitored = {
  readonly groups: readonly GroupServer[];
  readonly options: ServerOptions;
  readonly version: string;
  readonly stopping: () => boolean;
};

const SAMPLES_MAX = 600;

/** Everything the HTTP port shows, put together from the groups of this server. */
export function monitoringSource(
  server: Monitored,
  observer: PeerObserver,
  metrics: ServerMetrics,
): MonitoringSource {
  return {
    groups: () => server.groups.map(({ group }) => group),
    failure: () => failureOf(server),
    notReady: () => notReady(server),
    view: (group, samplesMax) => {
      const found = groupNamed(server, group);
      return found === undefined ? undefined : viewOf(server, found, { observer, samplesMax });
    },
    raftStat: (group) => {
      const found = groupNamed(server, group);
      return found === undefined ? undefined : raftStat(group, found.node.status());
    },
    metrics: () => metrics.text(),
  };
}

/** What the metrics show of each group, as of now. */
export function measurements(groups: readonly GroupServer[]): readonly GroupMeasurements[] {
  return groups.map(({ group, node, stateMachine }) => ({
    group,
    status: node.status(),
    appliedOperations: stateMachine.appliedOperations,
    counters: stateMachine.state.counters.size,
  }));
}

/** The handlers of atomic.v1.MonitoringService. */
export function monitoringService(server: Monitored): MonitoringServiceServer {
  return {
    getActivity: ({ request }, respond) => {
      const found = groupNamed(server, request.group);
      if (found === undefined) {
        const details = `there is no group ${request.group} on this server`;
        respond({ code: grpcStatus.NOT_FOUND, details });
        return;
      }
      const activity = activityOf(server, found, Math.min(request.samplesMax, SAMPLES_MAX));
      respond(null, { ...activity, samples: activity.samples.map(wholeNumbers) });
    },
  };
}

function groupNamed({ groups }: Monitored, name: string): GroupServer | undefined {
  return groups.find(({ group }) => group === name);
}

function failureOf({ groups }: Monitored): string | undefined {
  for (const { group, node } of groups) {
    const failure = node.failure();
    if (failure !== undefined) return `group ${group}: ${failure.error.message}`;
  }
  return undefined;
}

/** Why this server should get no calls, by group; empty: it should. */
export function notReady({ groups, stopping }: Monitored): readonly string[] {
  if (stopping()) return ['the server is stopping'];
  return groups.flatMap(({ group, node }) => {
    const reason = notReadyReason(node.status());
    return reason === undefined ? [] : [`group ${group}: ${reason}`];
  });
}

async function viewOf(
  server: Monitored,
  own: GroupServer,
  how: { readonly observer: PeerObserver; readonly samplesMax: number },
): Promise<ClusterView> {
  const { observer, samplesMax } = how;
  const status = own.node.status();
  const others = await Promise.all(
    otherMembers(status).map(async (peer): Promise<[PeerId, MemberAnswer]> => [
      peer,
      await observer.ask(own.group, peer, samplesMax),
    ]),
  );
  const self: MemberAnswer = {
    status: statusView(status),
    activity: activityOf(server, own, samplesMax),
  };
  const reasons = notReady(server);
  return clusterView({
    group: own.group,
    groups: server.groups.map(({ group }) => group),
    server: {
      peer: status.peer,
      version: server.version,
      pid: process.pid,
      ready: reasons.length === 0,
      reason: reasons.join('; '),
    },
    own: status,
    answers: new Map([[status.peer, self], ...others]),
  });
}

function activityOf(
  { options, version }: Monitored,
  { stateMachine, activity }: GroupServer,
  samplesMax: number,
): MemberActivityView {
  const { listenAddress, httpPort } = options;
  return {
    version,
    uptimeMs: Math.round(process.uptime() * 1_000),
    memoryBytes: process.memoryUsage.rss(),
    httpAddress: httpPort === 0 ? '' : `${listenAddress}:${String(httpPort)}`,
    appliedOperations: stateMachine.appliedOperations,
    counters: stateMachine.state.counters.size,
    samples: activity.samples(samplesMax),
  };
}

function wholeNumbers<Sample extends { ageMs: number; intervalMs: number }>(
  sample: Sample,
): Sample {
  return {
    ...sample,
    ageMs: Math.round(sample.ageMs),
    intervalMs: Math.round(sample.intervalMs),
  };
}

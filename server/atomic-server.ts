import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { MonitoringServiceService } from '../proto/gen/atomic/v1/monitoring.ts';
import { CliServiceService } from '../proto/gen/raft/v1/cli.ts';
import { UsageError } from './config/command-line.ts';
import type { ServerOptions } from './flags.ts';
import { orderFreshStart } from './fresh-start.ts';
import { startGroup, type GroupServer } from './group-server.ts';
import { addCounterServices } from './counter-services.ts';
import { HealthPort } from './health-port.ts';
import { MonitoringHttpServer } from './http/http-server.ts';
import { monitoringRoutes } from './http/routes.ts';
import { createServerMetrics, type ServerMetrics } from './http/metrics.ts';
import { measurements, monitoringService, monitoringSource, notReady } from './monitoring.ts';
import { PeerObserver } from './peer-observer.ts';
import { RaftError, systemClock, type Incarnation, type Logger } from './raft/index.ts';
import { cliService } from './raft/transport/cli-service.ts';
import { bindGrpcServer, closeGrpcServer, createGrpcServer } from './raft/transport/grpc-server.ts';
import { GrpcTransport } from './raft/transport/grpc-transport.ts';
import { PEER_MESSAGE_BYTES_MAX, RAFT_SERVICE } from './raft/transport/raft-service-definition.ts';
import { raftService } from './raft/transport/raft-service.ts';
import { SecretFile } from './raft/transport/secret-file.ts';
import type { SharedSecret } from './raft/transport/shared-secret.ts';
import { addReflection } from './reflection.ts';

const ACTIVITY_INTERVAL_MS = 1_000;
const HEALTH_INTERVAL_MS = 250;
/** A leader with a quorum commits what it has long before this; another one never will. */
const ANSWER_MAX_MS = 1_000;
const ANSWER_LOOK_MS = 2;
const NANOSECONDS_PER_MILLISECOND = 1_000_000;

type Tools = { readonly logger: Logger; readonly version: string };

/** The whole process: its groups, the gRPC port, the HTTP port. Owns and closes them all. */
export class AtomicServer {
  /** Resolves with the reason when a node has failed: the process must be replaced. */
  readonly failed: Promise<string>;
  /** Resolves with the reason when an administrator has asked for a stop in order. */
  readonly stopRequested: Promise<string>;
  readonly #options: ServerOptions;
  readonly #logger: Logger;
  readonly #version: string;
  readonly #transport: GrpcTransport;
  readonly #grpc: Server;
  readonly #observer: PeerObserver;
  readonly #secret: SharedSecret | undefined;
  readonly #health = new HealthImplementation({ '': 'NOT_SERVING' });
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #groups: GroupServer[] = [];
  readonly #metrics: ServerMetrics;
  readonly #reportFailure: (reason: string) => void;
  readonly #requestStop: (reason: string) => void;
  #http: MonitoringHttpServer | undefined;
  #healthPort: HealthPort | undefined;
  #stopping = false;

  private constructor(options: ServerOptions, { logger, version }: Tools) {
    this.#options = options;
    this.#logger = logger;
    this.#version = version;
    this.#metrics = createServerMetrics(version, () => measurements(this.#groups));
    const secret = secretOf(options.authSecretFile, logger);
    this.#secret = secret;
    this.#transport = new GrpcTransport({ clock: systemClock, logger, secret });
    this.#observer = new PeerObserver(secret);
    this.#grpc = createGrpcServer({
      receiveBytesMax: Math.max(options.messageBytesMax, PEER_MESSAGE_BYTES_MAX),
      concurrentStreamsMax: options.streamsMax,
    });
    const failure = Promise.withResolvers<string>();
    this.failed = failure.promise;
    this.#reportFailure = failure.resolve;
    const stop = Promise.withResolvers<string>();
    this.stopRequested = stop.promise;
    this.#requestStop = stop.resolve;
  }

  /**
   * Starts everything; resolves when all ports are open.
   *
   * @throws RaftError, or UsageError for the secret file, with one sentence; nothing is left
   *   running then.
   */
  static async start(options: ServerOptions, tools: Tools): Promise<AtomicServer> {
    const server = new AtomicServer(options, tools);
    try {
      await server.#start();
      return server;
    } catch (error) {
      await server.stop(0);
      throw error;
    }
  }

  /** Answers what is under way, hands leadership over, closes everything; waits up to `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#setReady(false);
    for (const timer of this.#timers) clearInterval(timer);
    for (const group of this.#groups) group.close();
    await this.#answered(Math.min(graceMs, ANSWER_MAX_MS));
    await Promise.all(this.#groups.map(({ node }) => node.shutdown()));
    this.#observer.close();
    await this.#transport.close();
    await closeGrpcServer(this.#grpc, { graceMs, clock: systemClock });
    await this.#http?.close();
    this.#healthPort?.close();
    this.#loopDelay.disable();
  }

  /** Waits for what the groups have taken in: stepping down now would leave its outcome unknown. */
  async #answered(waitMs: number): Promise<void> {
    const end = performance.now() + waitMs;
    const busy = () => this.#groups.some(({ service }) => service.operationsInFlight > 0);
    while (busy() && performance.now() < end) await setTimeout(ANSWER_LOOK_MS);
  }

  async #start(): Promise<void> {
    const { listenAddress, port, peer, healthPort } = this.#options;
    const host = listenAddress.includes(':') ? `[${listenAddress}]` : listenAddress;
    this.#loopDelay.enable();
    if (healthPort !== 0) this.#healthPort = await HealthPort.open(host, healthPort);
    for (const group of this.#options.groups) {
      const tools = {
        transport: this.#transport,
        logger: this.#logger,
        loopDelayMaxMs: () => this.#takeLoopDelay(),
        onWriteLatency: this.#metrics.recordWrite,
        onReadLatency: this.#metrics.recordRead,
      };
      this.#groups.push(
        await startGroup(group, this.#options, tools).catch(explained(group.dataPath)),
      );
    }
    this.#addServices();
    await bindGrpcServer(this.#grpc, `${host}:${String(port)}`);
    await this.#startHttp();
    this.#healthPort?.started();
    this.#every(ACTIVITY_INTERVAL_MS, () => {
      for (const { activity } of this.#groups) activity.endInterval();
    });
    this.#every(HEALTH_INTERVAL_MS, () => {
      this.#watch();
    });
    this.#logger.info('serving', { peer, address: `${host}:${String(port)}` });
  }

  #addServices(): void {
    this.#grpc.addService(RAFT_SERVICE, raftService(this.#transport));
    const findNodes = (group: string) =>
      this.#groups.filter((one) => one.group === group).map(({ node }) => node);
    const admin = cliService({
      findNodes,
      disabled: this.#options.disableCli,
      secret: this.#secret,
      version: this.#version,
      joinFresh: (group, old) => this.#joinFresh(group, old),
    });
    this.#grpc.addService(CliServiceService, admin);
    this.#grpc.addService(MonitoringServiceService, monitoringService(this.#monitored()));
    addCounterServices(this.#grpc, this.#groups);
    this.#health.addToServer(this.#grpc);
    if (this.#options.reflection) addReflection(this.#grpc);
  }

  /** Leaves the order for the next start, and asks for the end of this one. */
  async #joinFresh(group: string, old: Incarnation): Promise<void> {
    const { groups, initialState } = this.#options;
    if (initialState === 'new') {
      const text = 'this server was started with --initial_state=new';
      const advice = 'its empty disk would found the group again: start it without that first';
      throw new RaftError('EINVAL', `${text}, and ${advice}`);
    }
    const dataPath = groups.find(({ name }) => name === group)?.dataPath;
    if (dataPath === undefined) throw new RaftError('ENOENT', `no group "${group}" here`);
    await orderFreshStart(dataPath, old);
    this.#requestStop(`an administrator wants group ${group} to begin anew with an empty disk`);
  }

  async #startHttp(): Promise<void> {
    const { httpPort, listenAddress } = this.#options;
    if (httpPort === 0) return;
    const routes = monitoringRoutes(
      monitoringSource(this.#monitored(), this.#observer, this.#metrics),
    );
    const http = new MonitoringHttpServer(routes, this.#logger);
    try {
      await http.listen(httpPort, listenAddress);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const where = `${listenAddress}:${String(httpPort)}`;
      const advice = 'choose another port with --http_port, or 0 for none';
      throw new RaftError('EBUSY', `cannot listen at ${where}: ${reason}; ${advice}`, { cause });
    }
    this.#http = http;
  }

  #monitored() {
    return {
      groups: this.#groups,
      options: this.#options,
      version: this.#version,
      stopping: () => this.#stopping,
    };
  }

  /** Keeps the health service true and notices a node that gave up. */
  #watch(): void {
    const ready = notReady(this.#monitored()).length === 0;
    this.#setReady(ready);
    for (const { group, node } of this.#groups) {
      const failure = node.failure();
      if (failure !== undefined) this.#reportFailure(`group ${group}: ${failure.error.message}`);
    }
  }

  #setReady(ready: boolean): void {
    this.#health.setStatus('', ready ? 'SERVING' : 'NOT_SERVING');
    this.#healthPort?.setReady(ready);
  }

  #takeLoopDelay(): number {
    const maxMs = this.#loopDelay.max / NANOSECONDS_PER_MILLISECOND;
    this.#loopDelay.reset();
    return maxMs;
  }

  #every(intervalMs: number, callback: () => void): void {
    const timer = setInterval(callback, intervalMs);
    timer.unref();
    this.#timers.push(timer);
  }
}

function secretOf(path: string, logger: Logger): SharedSecret | undefined {
  if (path === '') return undefined;
  const onProblem = (reason: string) => {
    logger.error('the secrets read before stay in force', { reason });
  };
  try {
    return new SecretFile(path, { now: () => systemClock.now(), onProblem });
  } catch (error) {
    if (!(error instanceof RaftError)) throw error;
    throw new UsageError(`--auth_secret_file: ${error.message}`);
  }
}

/** Turns what the system says of a data directory into a sentence. */
function explained(dataPath: string): (error: unknown) => never {
  return (cause) => {
    if (!(cause instanceof Error) || cause instanceof RaftError || !('syscall' in cause))
      throw cause;
    const advice = 'give a folder on a readable and writable disk with --data_path';
    throw new RaftError('EIO', `cannot use ${dataPath}: ${cause.message}; ${advice}`, { cause });
  };
}

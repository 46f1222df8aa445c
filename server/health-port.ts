import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { RaftError } from './raft/index.ts';
import { bindGrpcServer, createGrpcServer } from './raft/transport/grpc-server.ts';

/**
 * The port that a supervisor probes (grpc.health.v1), open before any data is read. `startup`: the
 * groups have started. `liveness`: the process turns; it never depends on other members.
 * `readiness` and the empty name: this server should get calls.
 */
export class HealthPort {
  readonly #server: Server = createGrpcServer();
  readonly #health = new HealthImplementation({
    '': 'NOT_SERVING',
    startup: 'NOT_SERVING',
    liveness: 'SERVING',
    readiness: 'NOT_SERVING',
  });

  private constructor() {
    this.#health.addToServer(this.#server);
  }

  /** @throws RaftError EBUSY when the port cannot be listened on. */
  static async open(host: string, port: number): Promise<HealthPort> {
    const health = new HealthPort();
    try {
      await bindGrpcServer(health.#server, `${host}:${String(port)}`);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const advice = 'this is the one of --health_port; 0: none';
      throw new RaftError('EBUSY', `${reason}; ${advice}`, { cause });
    }
    return health;
  }

  started(): void {
    this.#health.setStatus('startup', 'SERVING');
  }

  setReady(ready: boolean): void {
    const status = ready ? 'SERVING' : 'NOT_SERVING';
    this.#health.setStatus('', status);
    this.#health.setStatus('readiness', status);
  }

  /** Ends the calls under way too: who watches would keep the port open. */
  close(): void {
    this.#server.forceShutdown();
  }
}

import { Server, ServerCredentials, credentials, type ServiceError } from '@grpc/grpc-js';
import {
  AtomicServiceClient,
  MaintenanceServiceService,
  OutcomeDetail,
} from '../../proto/gen/atomic/v1/atomic.ts';
import {
  AtomicServiceClient as BraftServiceClient,
  AtomicServiceService as BraftServiceService,
} from '../../proto/gen/example/atomic.ts';
import { createBraftService } from '../../server/atomic/service-braft.ts';
import { AtomicServiceCore } from '../../server/atomic/service-core.ts';
import { ServedGroups } from '../../server/atomic/service-groups.ts';
import {
  createMaintenanceService,
  type MaintainedGroup,
} from '../../server/atomic/service-maintenance.ts';
import { createAtomicService } from '../../server/atomic/service.ts';
import { ATOMIC_SERVICE } from '../../server/atomic/session-request.ts';
import { AtomicStateMachine } from '../../server/atomic/state-machine.ts';
import { FakeAtomicNode, SteerableClock } from './atomic-node.ts';

/** The counters' services on a loopback port over a group of one that commits at once. */
export class AtomicGrpc implements AsyncDisposable {
  readonly machine = new AtomicStateMachine();
  readonly node = new FakeAtomicNode(this.machine);
  readonly clock = new SteerableClock();
  readonly core: AtomicServiceCore;
  readonly address: string;
  readonly atomic: AtomicServiceClient;
  readonly braft: BraftServiceClient;
  // Above the service's own limit, as in the real server.
  readonly #server = new Server({ 'grpc.max_receive_message_length': 16 * 2 ** 20 });

  private constructor(port: number) {
    const { machine: stateMachine, node, clock } = this;
    this.core = new AtomicServiceCore({ node, stateMachine, clock });
    this.address = `127.0.0.1:${port}`;
    this.atomic = new AtomicServiceClient(this.address, credentials.createInsecure());
    this.braft = new BraftServiceClient(this.address, credentials.createInsecure());
  }

  static async start(port: number, maintained?: MaintainedGroup): Promise<AtomicGrpc> {
    const rig = new AtomicGrpc(port);
    const server = rig.#server;
    const groups = new ServedGroups(new Map([['Atomic', rig.core]]));
    server.addService(ATOMIC_SERVICE, createAtomicService(groups));
    server.addService(BraftServiceService, createBraftService(groups));
    if (maintained !== undefined) {
      const maintenance = createMaintenanceService(new Map([['Atomic', maintained]]));
      server.addService(MaintenanceServiceService, maintenance);
    }
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(rig.address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return rig;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.atomic.close();
    this.braft.close();
    this.core.close();
    this.#server.forceShutdown();
    return Promise.resolve();
  }
}

/** A unary call as a promise. */
export function called<Response>(
  call: (done: (error: ServiceError | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}

/** How a call failed: its status and what the trailer says. */
export async function failureOf(
  call: Promise<unknown>,
): Promise<{ readonly code: number; readonly detail: OutcomeDetail | undefined }> {
  try {
    await call;
  } catch (error) {
    const { code, metadata } = error as ServiceError;
    const [bytes] = metadata.get('atomic-outcome-bin');
    const detail = bytes instanceof Buffer ? OutcomeDetail.decode(bytes) : undefined;
    return { code, detail };
  }
  throw new Error('the call did not fail');
}

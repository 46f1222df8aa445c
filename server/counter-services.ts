import type { Server } from '@grpc/grpc-js';
import { MaintenanceServiceService } from '../proto/gen/atomic/v1/atomic.ts';
import { AtomicServiceService as BraftServiceService } from '../proto/gen/example/atomic.ts';
import { createBraftService } from './atomic/service-braft.ts';
import { ServedGroups } from './atomic/service-groups.ts';
import { createMaintenanceService } from './atomic/service-maintenance.ts';
import { createAtomicService } from './atomic/service.ts';
import { ATOMIC_SERVICE } from './atomic/session-request.ts';
import type { GroupServer } from './group-server.ts';

/** Adds the services of the counters: ours and braft's over the same handlers. */
export function addCounterServices(server: Server, groups: readonly GroupServer[]): void {
  const served = new ServedGroups(new Map(groups.map(({ group, service }) => [group, service])));
  server.addService(ATOMIC_SERVICE, createAtomicService(served));
  server.addService(BraftServiceService, createBraftService(served));
  const maintained = new Map(groups.map((group) => [group.group, group]));
  server.addService(MaintenanceServiceService, createMaintenanceService(maintained));
}

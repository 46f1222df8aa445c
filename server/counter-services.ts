import type { Server } from '@grpc/grpc-js';
import type { ServerOptions } from './flags.ts';
import type { GroupServer } from './group-server.ts';

export type CounterServices = { drain(): void };

export function addCounterServices(_server: Server, _groups: readonly GroupServer[], _options: ServerOptions): CounterServices {
  return { drain: () => undefined };
}

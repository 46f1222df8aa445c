import type { Server } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FILES = ['atomic/v1/atomic.proto', 'example/atomic.proto', 'raft/v1/cli.proto'];

/** Lets tools ask the server which services it has (gRPC reflection); off by default. */
export function addReflection(server: Server): void {
  // Beside the sources, and one level higher from the compiled package.
  const folder = ['../proto', '../../proto']
    .map((path) => fileURLToPath(new URL(path, import.meta.url)))
    .find((path) => existsSync(`${path}/atomic/v1/atomic.proto`));
  if (folder === undefined) throw new Error('the .proto files for reflection are missing');
  const definition = loadSync(FILES, { includeDirs: [folder], keepCase: true, longs: String });
  new ReflectionService(definition).addToServer(server);
}

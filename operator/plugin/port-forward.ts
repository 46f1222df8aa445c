import { PortForward, type KubeConfig } from '@kubernetes/client-node';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { PassThrough, type Readable, type Writable } from 'node:stream';
import { ApiError } from '../controller/api-error.ts';
import type { PodKey } from './ports.ts';

const LOOPBACK = '127.0.0.1';

/** What is used of a WebSocket. */
type Tunnel = { onclose: unknown; close(): void };

/**
 * A port of this machine that leads to a port of a pod, through the API server; connections need no
 * route to the pod.
 *
 * @throws ApiError when the API server does not let us.
 */
export async function forwardPort(
  config: KubeConfig,
  pod: PodKey,
  port: number,
): Promise<{ readonly address: string } & AsyncDisposable> {
  const forward = new PortForward(config);
  // Errors of later connections reach nobody: what is forbidden shows now.
  const probe = await openTunnel(forward, { pod, port }, new PassThrough(), new PassThrough());
  probe.close();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    void join(forward, { pod, port }, socket);
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const bound = server.address();
  const local = typeof bound === 'object' && bound !== null ? bound.port : 0;
  return {
    address: `${LOOPBACK}:${String(local)}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

type Target = { readonly pod: PodKey; readonly port: number };

/** Either end closes the other. */
async function join(forward: PortForward, target: Target, socket: Socket): Promise<void> {
  let tunnel: Tunnel | undefined;
  const end = (): void => {
    socket.destroy();
    tunnel?.close();
  };
  socket.on('error', end);
  socket.on('close', end);
  try {
    tunnel = await openTunnel(forward, target, socket, socket);
    tunnel.onclose = end;
    if (socket.destroyed) end();
  } catch {
    // The caller sees its connection end.
    end();
  }
}

async function openTunnel(
  forward: PortForward,
  { pod: { namespace, name }, port }: Target,
  output: Writable,
  input: Readable,
): Promise<Tunnel> {
  const problems = new PassThrough();
  problems.on('data', () => output.destroy());
  let opened: unknown;
  try {
    opened = await forward.portForward(namespace, name, [port], output, problems, input);
  } catch (cause) {
    throw refusalOf(cause, `port ${String(port)} of pod ${name}`);
  }
  if (!isTunnel(opened)) throw new TypeError('a port-forward without a connection');
  return opened;
}

function isTunnel(value: unknown): value is Tunnel {
  return typeof value === 'object' && value !== null && 'close' in value;
}

/** What the WebSocket says when the upgrade fails is the HTTP status alone. */
function refusalOf(cause: unknown, target: string): ApiError {
  const { message = String(cause) } = cause as { readonly message?: string };
  const code = Number(/Unexpected server response: (\d{3})/.exec(message)?.[1] ?? 0);
  const hint = code === 403 ? '; from Kubernetes 1.35 on it takes the verb create too' : '';
  return new ApiError(`forwarding ${target}: ${message}${hint}`, { code, cause });
}

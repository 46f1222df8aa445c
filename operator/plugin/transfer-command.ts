import { delay } from '../controller/clock.ts';
import { secretToSend, type SecretObject } from '../resources/auth-secret.ts';
import { authSecretName, ordinalOf, peerId, podName } from '../resources/names.ts';
import { SECRETS } from '../resources/resource-types.ts';
import { findCluster } from './clusters.ts';
import { PluginError } from './failure.ts';
import { lookAt, type Look } from './look.ts';
import type { OpenReplica, PluginPorts } from './ports.ts';
import { withRight } from './rights.ts';
import type { Terminal } from './terminal.ts';

const CALL_TIMEOUT_MS = 5_000;
const LOOK_AGAIN_MS = 200;

/** `kubectl atomic transfer-leader`: hands leadership over, and waits until it has arrived. */
export async function transferLeader(
  name: string,
  { to, timeoutMs }: { readonly to: string; readonly timeoutMs: number },
  { ports, terminal }: { readonly ports: PluginPorts; readonly terminal: Terminal },
): Promise<void> {
  const { namespace } = ports;
  const look = await lookAt(await findCluster(name, ports), ports);
  const heir = heirOf(look, to);
  const leader = leaderOf(look);
  if (leader === heir) {
    terminal.print(`${to} leads already`);
    return;
  }
  const secret = await readSecret(name, ports);
  const pod = { namespace, name: podName(name, leader) };
  const right = { verb: 'get', resource: 'pods', subresource: 'portforward', namespace };
  await using server = await withRight(right, () => ports.openReplica(pod, secret));
  const peer = peerId({ namespace, name }, heir);
  await server.transferLeader(peer, CALL_TIMEOUT_MS);
  const { term } = await arrived(server, peer, { ports, timeoutMs });
  terminal.print(`${to} leads in term ${String(term)}; before it was ${pod.name}`);
}

/** The ordinal of a pod that may lead. */
function heirOf({ observed, status }: Look, to: string): number {
  const ordinal = ordinalOf(observed.name, to);
  const members = status.members ?? [];
  const member = members.find(({ name }) => name === to);
  const others = members.filter(({ votes }) => votes).map(({ name }) => name);
  if (ordinal === undefined || member?.votes !== true) {
    throw new PluginError(
      `${to} is no voter of ${observed.name}: choose one of ${others.join(', ')}`,
    );
  }
  if (member.state === 'Participating') return ordinal;
  throw new PluginError(
    `${to} is ${member.state} and cannot lead now: see kubectl atomic explain ${observed.name}`,
  );
}

function leaderOf({ observed: { name }, status: { leader } }: Look): number {
  const ordinal = leader === undefined ? undefined : ordinalOf(name, leader);
  if (ordinal !== undefined) return ordinal;
  throw new PluginError(
    `nobody leads ${name} that could hand over: see kubectl atomic explain ${name}`,
  );
}

async function readSecret(name: string, { api, namespace }: PluginPorts): Promise<string> {
  const key = { namespace, name: authSecretName(name) };
  const right = { verb: 'get', resource: 'secrets', namespace };
  const found = await withRight(right, () => api.get<SecretObject>(SECRETS, key));
  const secret = secretToSend(found);
  if (secret !== '') return secret;
  throw new PluginError(`the Secret ${key.name} is missing or empty: the operator makes it anew`);
}

async function arrived(
  server: OpenReplica,
  peer: string,
  { ports, timeoutMs }: { readonly ports: PluginPorts; readonly timeoutMs: number },
): Promise<{ readonly term: number }> {
  const endMs = ports.clock.now() + timeoutMs;
  const never = new AbortController().signal;
  while (ports.clock.now() < endMs) {
    const { leaderId, term } = await server.status({
      ...{ linearizable: false, timeoutMs: CALL_TIMEOUT_MS },
    });
    if (leaderId === peer) return { term };
    await delay(ports.clock, LOOK_AGAIN_MS, never);
  }
  throw new PluginError(
    `the transfer was begun, but ${peer} does not lead after ${String(timeoutMs)} ms: see kubectl atomic status`,
  );
}

import {
  CONTROL_PLANE_IP,
  CONTROL_PLANE_NAMESPACE,
  NODE_NETWORK_BITS,
  type NodeAddress,
} from './addresses.ts';
import { run } from './command.ts';

const BRIDGE = 'br0';

/** Runs a program in a network namespace. `ip netns exec` would mount another /sys. */
export function inNamespace(namespace: string, command: readonly string[]): readonly string[] {
  return ['nsenter', `--net=/run/netns/${namespace}`, ...command];
}

/** The namespaces of the control plane and of the nodes, joined by a bridge. No way leads out. */
export async function createNetwork(nodes: readonly NodeAddress[]): Promise<void> {
  await run('ip', ['netns', 'add', CONTROL_PLANE_NAMESPACE]);
  const controlPlane = ipIn(CONTROL_PLANE_NAMESPACE);
  await controlPlane('link', 'set', 'lo', 'up');
  await controlPlane('link', 'add', BRIDGE, 'type', 'bridge');
  await controlPlane('addr', 'add', withBits(CONTROL_PLANE_IP), 'dev', BRIDGE);
  await controlPlane('link', 'set', BRIDGE, 'up');
  for (const { podRange, ip } of nodes) await controlPlane('route', 'add', podRange, 'via', ip);
  for (const node of nodes) await connectNode(node, nodes);
}

async function connectNode(node: NodeAddress, nodes: readonly NodeAddress[]): Promise<void> {
  const { namespace, name, ip } = node;
  await run('ip', ['netns', 'add', namespace]);
  const [controlPlane, inNode] = [ipIn(CONTROL_PLANE_NAMESPACE), ipIn(namespace)];
  const port = `to-${name}`;
  await run('ip', [
    ...['link', 'add', port, 'netns', CONTROL_PLANE_NAMESPACE, 'type', 'veth'],
    ...['peer', 'name', 'eth0', 'netns', namespace],
  ]);
  await controlPlane('link', 'set', port, 'master', BRIDGE, 'up');
  await inNode('link', 'set', 'lo', 'up');
  await inNode('addr', 'add', withBits(ip), 'dev', 'eth0');
  await inNode('link', 'set', 'eth0', 'up');
  await inNode('route', 'add', 'default', 'via', CONTROL_PLANE_IP);
  for (const other of nodes) {
    if (other !== node) await inNode('route', 'add', other.podRange, 'via', other.ip);
  }
  await runIn(namespace, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
}

/** Removes the namespaces with all links in them. */
export async function removeNetwork(): Promise<void> {
  const names = (await run('ip', ['netns', 'list'])).split('\n').map((line) => line.split(' ')[0]);
  for (const name of names) {
    if (name?.startsWith('k8s-') === true) await run('ip', ['netns', 'del', name]);
  }
}

function ipIn(namespace: string): (...args: readonly string[]) => Promise<string> {
  return (...args) => runIn(namespace, ['ip', ...args]);
}

function runIn(namespace: string, command: readonly string[]): Promise<string> {
  const [program = '', ...args] = inNamespace(namespace, command);
  return run(program, args);
}

function withBits(ip: string): string {
  return `${ip}/${String(NODE_NETWORK_BITS)}`;
}

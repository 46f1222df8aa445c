import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONTROL_PLANE_IP, POD_RANGE, type NodeAddress } from './addresses.ts';
import { startDaemon } from './daemon.ts';
import { PAUSE_IMAGE } from './images.ts';
import { inNamespace } from './network.ts';
import { IMAGES_FOLDER, PKI_FOLDER, RUN_FOLDER } from './paths.ts';

const CGROUPS = '/sys/fs/cgroup';

/** The name under which the processes of a node are kept. */
export function nodeDaemon({ name }: NodeAddress): string {
  return `node-${name}`;
}

/** Starts containerd, kubelet and kube-proxy in namespaces of their own, on the node's disk. */
export function startNode(node: NodeAddress, programs: string): void {
  const folder = join(RUN_FOLDER, node.name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'containerd.toml'), containerdConfiguration());
  writeFileSync(join(folder, 'cni.conflist'), JSON.stringify(podNetwork(node)));
  writeFileSync(join(folder, 'kubelet.json'), JSON.stringify(kubeletConfiguration(node, folder)));
  writeFileSync(join(folder, 'resolv.conf'), '');
  const groups = createControlGroups(node);
  const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs`).join('; ');
  const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--mount-proc'];
  const script = join(import.meta.dirname, 'node.sh');
  const unshare = ['unshare', ...namespaces, '--kill-child', '--uts', '--ipc', script].join(' ');
  const command = inNamespace(node.namespace, ['bash', '-c', `${enter}; exec ${unshare}`]);
  startDaemon(nodeDaemon(node), command, {
    NODE_NAME: node.name,
    NODE_IP: node.ip,
    NODE_FOLDER: folder,
    POD_RANGE,
    PROGRAMS: programs,
    PKI: PKI_FOLDER,
    IMAGES: IMAGES_FOLDER,
  });
}

/** Where the processes of all nodes are accounted for. */
export function controlGroupsOf(path: string): readonly string[] {
  const controllers = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids'];
  const hierarchies = [...controllers, 'systemd'].map((name) => join(CGROUPS, name));
  return hierarchies.filter((folder) => existsSync(folder)).map((folder) => join(folder, path));
}

/** kubelet wants its own part of each hierarchy; the node's programs live beside its pods. */
function createControlGroups({ name }: NodeAddress): readonly string[] {
  for (const path of ['k8s', `k8s/${name}`, `k8s/${name}/system`]) {
    for (const group of controlGroupsOf(path)) {
      mkdirSync(group, { recursive: true });
      if (!group.startsWith(join(CGROUPS, 'cpuset'))) continue;
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(join(group, file), readFileSync(join(group, '..', file)));
      }
    }
  }
  return controlGroupsOf(`k8s/${name}/system`);
}

function containerdConfiguration(): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp"]
[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  disable_apparmor = true
  # A machine may lack the right to lower a process's out-of-memory score.
  restrict_oom_score_adj = true
  [${cri}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [${cri}.containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [${cri}.containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [${cri}.containerd.runtimes.runc.options]
        SystemdCgroup = false
`;
}

function podNetwork({ podRange }: NodeAddress): unknown {
  const ipam = {
    type: 'host-local',
    dataDir: '/run/cni-addresses',
    ranges: [[{ subnet: podRange }]],
    routes: [{ dst: '0.0.0.0/0' }],
  };
  const bridge = { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipam };
  const ports = { type: 'portmap', capabilities: { portMappings: true } };
  return { cniVersion: '0.4.0', name: 'pods', plugins: [bridge, ports] };
}

function kubeletConfiguration({ name }: NodeAddress, folder: string): unknown {
  const pki = (file: string): string => join(PKI_FOLDER, file);
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pki(`kubelet-${name}.crt`),
    tlsPrivateKeyFile: pki(`kubelet-${name}.key`),
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/k8s/${name}`,
    failCgroupV1: false,
    failSwapOn: false,
    clusterDNS: [CONTROL_PLANE_IP],
    clusterDomain: 'cluster.local',
    resolvConf: join(folder, 'resolv.conf'),
    enforceNodeAllocatable: ['pods'],
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'nodefs.inodesFree': '1%',
    },
    imageGCHighThresholdPercent: 100,
    nodeStatusUpdateFrequency: '2s',
    nodeLeaseDurationSeconds: 10,
    oomScoreAdj: 0,
    serializeImagePulls: false,
  };
}

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_URL, CONTROL_PLANE_IP, CONTROL_PLANE_NAMESPACE, SERVICE_RANGE } from './addresses.ts';
import { run } from './command.ts';
import { killDaemon, startDaemon } from './daemon.ts';
import { inNamespace } from './network.ts';
import { ADMIN_KUBECONFIG, PKI_FOLDER, RUN_FOLDER } from './paths.ts';
import { storageClassObjects } from './storage-classes.ts';
import { eventually } from './wait.ts';

/** How soon pods leave a node that is gone: short, so that tests of it are. */
const NODE_TOLERATION_SECONDS = 10;

const API_SERVER = 'kube-apiserver';
const ETCD_URL = 'http://127.0.0.1:2379';

const pki = (name: string): string => join(PKI_FOLDER, name);

/** Starts etcd, the API server, controllers, scheduler and DNS; resolves when the API is ready. */
export async function startControlPlane(programs: string): Promise<void> {
  const start = (name: string, flags: readonly string[]): void => {
    startProgram(programs, name, flags);
  };
  start('etcd', etcdFlags());
  await startApiServer(programs);
  // It gives up when it finds no API server.
  start('kube-controller-manager', controllerFlags());
  start('kube-scheduler', [...kubeconfigFlags('scheduler'), '--leader-elect=false']);
  await kubectl(programs, ['apply', '-f', '-'], JSON.stringify(dnsPermissions()));
  const classes = { apiVersion: 'v1', kind: 'List', items: storageClassObjects() };
  await kubectl(programs, ['apply', '-f', '-'], JSON.stringify(classes));
  const provisioner = [process.execPath, join(import.meta.dirname, 'volume-provisioner.ts')];
  const KUBECONFIG = ADMIN_KUBECONFIG;
  startDaemon('provisioner', inNamespace(CONTROL_PLANE_NAMESPACE, provisioner), { KUBECONFIG });
  const corefile = join(RUN_FOLDER, 'Corefile');
  writeFileSync(corefile, dnsConfiguration());
  start('coredns', ['-conf', corefile]);
}

/** Kills the API server and starts it anew; resolves when it is ready. */
export async function restartApiServer(programs: string): Promise<void> {
  await killDaemon(API_SERVER);
  await startApiServer(programs);
}

async function startApiServer(programs: string): Promise<void> {
  startProgram(programs, API_SERVER, apiServerFlags());
  await eventually('the API server is ready', isReady);
}

function startProgram(programs: string, name: string, flags: readonly string[]): void {
  startDaemon(name, inNamespace(CONTROL_PLANE_NAMESPACE, [join(programs, name), ...flags]));
}

/** Runs kubectl as the administrator, where the API server can be reached. */
export function kubectl(
  programs: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const command = [join(programs, 'kubectl'), `--kubeconfig=${ADMIN_KUBECONFIG}`, ...args];
  const [program = '', ...rest] = inNamespace(CONTROL_PLANE_NAMESPACE, command);
  return run(program, rest, input === undefined ? {} : { input });
}

async function isReady(): Promise<boolean> {
  const identity = [
    '--cacert',
    pki('ca.crt'),
    '--cert',
    pki('admin.crt'),
    '--key',
    pki('admin.key'),
  ];
  const curl = ['curl', '-sf', ...identity, `${API_URL}/readyz`];
  const [program = '', ...args] = inNamespace(CONTROL_PLANE_NAMESPACE, curl);
  return run(program, args).then(
    () => true,
    () => false,
  );
}

function etcdFlags(): readonly string[] {
  return [
    `--data-dir=${join(RUN_FOLDER, 'etcd')}`,
    `--listen-client-urls=${ETCD_URL}`,
    `--advertise-client-urls=${ETCD_URL}`,
    '--log-level=warn',
    // The tests are about our disks, not about those of the control plane.
    '--unsafe-no-fsync',
  ];
}

function apiServerFlags(): readonly string[] {
  return [
    `--etcd-servers=${ETCD_URL}`,
    '--bind-address=0.0.0.0',
    `--advertise-address=${CONTROL_PLANE_IP}`,
    `--service-cluster-ip-range=${SERVICE_RANGE}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
    `--client-ca-file=${pki('ca.crt')}`,
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--kubelet-certificate-authority=${pki('ca.crt')}`,
    `--kubelet-client-certificate=${pki('apiserver-kubelet-client.crt')}`,
    `--kubelet-client-key=${pki('apiserver-kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${pki('service-accounts.pub')}`,
    `--service-account-signing-key-file=${pki('service-accounts.key')}`,
    `--requestheader-client-ca-file=${pki('front-ca.crt')}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pki('front-proxy-client.crt')}`,
    `--proxy-client-key-file=${pki('front-proxy-client.key')}`,
    `--default-not-ready-toleration-seconds=${String(NODE_TOLERATION_SECONDS)}`,
    `--default-unreachable-toleration-seconds=${String(NODE_TOLERATION_SECONDS)}`,
  ];
}

function controllerFlags(): readonly string[] {
  return [
    ...kubeconfigFlags('controller-manager'),
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--service-account-private-key-file=${pki('service-accounts.key')}`,
    `--root-ca-file=${pki('ca.crt')}`,
    `--cluster-signing-cert-file=${pki('ca.crt')}`,
    `--cluster-signing-key-file=${pki('ca.key')}`,
    '--pvclaimbinder-sync-period=1s',
    '--node-monitor-period=2s',
    '--node-monitor-grace-period=12s',
  ];
}

function kubeconfigFlags(user: string): readonly string[] {
  const file = pki(`${user}.kubeconfig`);
  return [
    `--kubeconfig=${file}`,
    `--authentication-kubeconfig=${file}`,
    `--authorization-kubeconfig=${file}`,
  ];
}

/** As long-lived as a large cluster's answers, so that clients must cope with stale ones. */
function dnsConfiguration(): string {
  return `.:53 {
  bind ${CONTROL_PLANE_IP}
  errors
  health 127.0.0.1:8080
  ready 127.0.0.1:8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    kubeconfig ${pki('coredns.kubeconfig')}
    pods insecure
    ttl 30
  }
  cache 30
}
`;
}

function dnsPermissions(): unknown {
  const metadata = { name: 'system:coredns' };
  const rbac = 'rbac.authorization.k8s.io';
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: `${rbac}/v1`,
        kind: 'ClusterRole',
        metadata,
        rules: [
          {
            apiGroups: [''],
            resources: ['endpoints', 'services', 'pods', 'namespaces'],
            verbs: ['list', 'watch'],
          },
          {
            apiGroups: ['discovery.k8s.io'],
            resources: ['endpointslices'],
            verbs: ['list', 'watch'],
          },
        ],
      },
      {
        apiVersion: `${rbac}/v1`,
        kind: 'ClusterRoleBinding',
        metadata,
        roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: metadata.name },
        subjects: [{ apiGroup: rbac, kind: 'User', name: metadata.name }],
      },
    ],
  };
}

import { KubeConfig } from '@kubernetes/client-node';
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atomicClusterDefinition } from '../../../operator/api/crd.ts';
import { ApiClient } from '../../../operator/controller/api-client.ts';
import { buildModule } from '../bed/programs.ts';
import { eventually } from '../bed/wait.ts';

const LOOPBACK = '127.0.0.1';
const LOG_TAIL_CHARACTERS = 2_000;
/** What stands behind StatefulSets, evictions, owners and volumes in use; no more than that. */
const CONTROLLERS = [
  ...['statefulset', 'disruption', 'garbage-collector', 'serviceaccount'],
  'persistentvolumeclaim-protection',
].map((name) => `${name}-controller`);

/**
 * A real API server with etcd and the controllers of StatefulSets, as plain processes on free ports
 * of this machine: no node, no scheduler, no network namespace, no root. Owns its processes and its
 * folder. Whoever may read the folder is administrator.
 */
export class BareApiServer implements AsyncDisposable {
  readonly #program: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'bare-api-server-'));
  readonly #token = randomBytes(16).toString('hex');
  readonly #children: ChildProcess[] = [];
  #url = '';

  private constructor(program: string) {
    this.#program = program;
  }

  /** Resolves when the API is served, in which AtomicClusters are defined. */
  static async start(): Promise<BareApiServer> {
    const print = (line: string): boolean => process.stderr.write(`${line}\n`);
    const server = new BareApiServer(await buildModule('kubernetes', print));
    try {
      await server.#start();
      return server;
    } catch (error) {
      const logs = ['etcd', 'kube-apiserver'].map((name) => server.#logOf(name)).join('\n');
      await server[Symbol.asyncDispose]();
      throw new Error(`the API server did not start\n${logs}`, { cause: error });
    }
  }

  /** A client with connections of its own. */
  connect(): ApiClient {
    const config = new KubeConfig();
    config.loadFromString(this.#kubeconfig());
    return new ApiClient(config);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#children.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
    const ended = running.map((child) => once(child, 'close'));
    for (const child of running) child.kill('SIGKILL');
    await Promise.all(ended);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const [clients = 0, peers = 0, api = 0] = await freePorts(3);
    this.#url = `https://${LOOPBACK}:${String(api)}`;
    const etcd = `http://${LOOPBACK}:${String(clients)}`;
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#write('accounts.pub', publicKey.export({ type: 'spki', format: 'pem' }));
    this.#write('accounts.key', privateKey.export({ type: 'pkcs8', format: 'pem' }));
    this.#write('tokens.csv', `${this.#token},admin,admin,system:masters\n`);
    this.#write('kubeconfig', this.#kubeconfig());
    this.#run('etcd', etcdFlags(this.#folder, etcd, `http://${LOOPBACK}:${String(peers)}`));
    this.#run('kube-apiserver', apiServerFlags(this.#folder, etcd, api));
    const client = this.connect();
    await eventually('the API server is ready', () => this.#isReady(client));
    const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    await client.request({ method: 'POST', path, body: atomicClusterDefinition() });
    this.#run('kube-controller-manager', controllerFlags(this.#folder));
  }

  async #isReady(client: ApiClient): Promise<boolean> {
    const dead = this.#children.find(({ exitCode }) => exitCode !== null);
    if (dead !== undefined) throw new Error(`${dead.spawnargs[2] ?? ''} has ended`);
    const key = { name: 'default' };
    const type = { group: '', version: 'v1', plural: 'namespaces', kind: 'Namespace' };
    return client.get(type, key).then(
      (found) => found !== undefined,
      () => false,
    );
  }

  /** Starts a program that does not outlive this process, however that ends. */
  #run(name: string, flags: readonly string[]): void {
    // The program is many, by the name it is called by.
    const program = join(this.#folder, name);
    symlinkSync(this.#program, program);
    const log = openSync(`${program}.log`, 'w');
    const command = ['--pdeathsig=KILL', program, ...flags];
    // It lives for minutes: time is dearer than memory.
    const env = { ...process.env, GOGC: '400' };
    this.#children.push(spawn('setpriv', command, { stdio: ['ignore', log, log], env }));
    closeSync(log);
  }

  #write(name: string, content: string | Buffer): void {
    writeFileSync(join(this.#folder, name), content, { mode: 0o600 });
  }

  #logOf(name: string): string {
    try {
      const text = readFileSync(join(this.#folder, `${name}.log`), 'utf8');
      return `${name}: ${text.slice(-LOG_TAIL_CHARACTERS)}`;
    } catch {
      return `${name}: it was not started`;
    }
  }

  #kubeconfig(): string {
    // It signs a certificate for itself, which nobody but us could be behind.
    const cluster = { server: this.#url, 'insecure-skip-tls-verify': true };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'bare', cluster }],
      users: [{ name: 'admin', user: { token: this.#token } }],
      contexts: [{ name: 'bare', context: { cluster: 'bare', user: 'admin' } }],
      'current-context': 'bare',
    });
  }
}

function etcdFlags(folder: string, clients: string, peers: string): readonly string[] {
  return [
    `--data-dir=${join(folder, 'data')}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
    '--log-level=warn',
    '--unsafe-no-fsync',
  ];
}

function apiServerFlags(folder: string, etcd: string, port: number): readonly string[] {
  return [
    `--etcd-servers=${etcd}`,
    `--bind-address=${LOOPBACK}`,
    `--secure-port=${String(port)}`,
    `--cert-dir=${join(folder, 'certificates')}`,
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=AlwaysAllow',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${join(folder, 'accounts.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'accounts.key')}`,
    // Nobody looks for it but by its address.
    ...['--advertise-address=10.255.0.1', '--endpoint-reconciler-type=none'],
    '--service-cluster-ip-range=10.0.0.0/16',
    '--enable-priority-and-fairness=false',
  ];
}

function controllerFlags(folder: string): readonly string[] {
  const kubeconfig = join(folder, 'kubeconfig');
  return [
    `--kubeconfig=${kubeconfig}`,
    `--controllers=${CONTROLLERS.join(',')}`,
    '--leader-elect=false',
    '--secure-port=0',
    ...['--kube-api-qps=2000', '--kube-api-burst=4000', '--concurrent-statefulset-syncs=20'],
  ];
}

/** Ports that nobody has at the moment. */
async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, LOOPBACK);
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(
    servers.map((server) => {
      server.close();
      return once(server, 'close');
    }),
  );
  return ports;
}

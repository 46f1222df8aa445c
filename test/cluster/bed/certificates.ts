import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { API_SERVICE_IP, API_URL, CONTROL_PLANE_IP, type NodeAddress } from './addresses.ts';
import { run } from './command.ts';
import { PKI_FOLDER } from './paths.ts';

const DAYS = '3650';
const FOR_CLIENTS = 'extendedKeyUsage=clientAuth';

type Certificate = {
  readonly name: string;
  /** Kubernetes takes the user from CN and the groups from O. */
  readonly subject: string;
  readonly extensions: readonly string[];
  readonly authority?: 'ca' | 'front-ca';
};

/** Users that get a kubeconfig, with their certificates' subjects. */
const USERS: Readonly<Record<string, string>> = {
  admin: '/O=system:masters/CN=admin',
  'controller-manager': '/CN=system:kube-controller-manager',
  scheduler: '/CN=system:kube-scheduler',
  proxy: '/CN=system:kube-proxy',
  coredns: '/CN=system:coredns',
};

/** Makes what is missing of the authorities, certificates and kubeconfigs; what is there stays. */
export async function makeCertificates(nodes: readonly NodeAddress[]): Promise<void> {
  mkdirSync(PKI_FOLDER, { recursive: true });
  await makeAuthority('ca', 'kubernetes-ca');
  await makeAuthority('front-ca', 'front-proxy-ca');
  await makeServiceAccountKey();
  for (const certificate of controlPlaneCertificates()) await sign(certificate);
  for (const node of nodes) {
    for (const certificate of nodeCertificates(node)) await sign(certificate);
    writeKubeconfig(`node-${node.name}`);
  }
  for (const name of Object.keys(USERS)) writeKubeconfig(name);
}

function controlPlaneCertificates(): readonly Certificate[] {
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'];
  const dns = [...names, 'kubernetes.default.svc.cluster.local'].map((name) => `DNS:${name}`);
  const ips = ['127.0.0.1', API_SERVICE_IP, CONTROL_PLANE_IP].map((ip) => `IP:${ip}`);
  return [
    {
      name: 'apiserver',
      subject: '/CN=kube-apiserver',
      extensions: ['extendedKeyUsage=serverAuth', `subjectAltName=${[...dns, ...ips].join(',')}`],
    },
    {
      name: 'apiserver-kubelet-client',
      subject: '/O=system:masters/CN=kube-apiserver-kubelet-client',
      extensions: [FOR_CLIENTS],
    },
    {
      name: 'front-proxy-client',
      subject: '/CN=front-proxy-client',
      extensions: [FOR_CLIENTS],
      authority: 'front-ca',
    },
    ...Object.entries(USERS).map(([name, subject]) => ({
      name,
      subject,
      extensions: [FOR_CLIENTS],
    })),
  ];
}

function nodeCertificates({ name, ip }: NodeAddress): readonly Certificate[] {
  return [
    {
      name: `node-${name}`,
      subject: `/O=system:nodes/CN=system:node:${name}`,
      extensions: [FOR_CLIENTS],
    },
    {
      name: `kubelet-${name}`,
      subject: `/CN=${name}`,
      extensions: ['extendedKeyUsage=serverAuth', `subjectAltName=DNS:${name},IP:${ip}`],
    },
  ];
}

async function makeAuthority(name: string, commonName: string): Promise<void> {
  if (existsSync(file(`${name}.crt`))) return;
  await makeKey(name);
  const subject = ['-subj', `/CN=${commonName}`];
  const output = ['-key', file(`${name}.key`), '-out', file(`${name}.crt`)];
  await run('openssl', ['req', '-x509', '-new', '-days', DAYS, ...subject, ...output]);
}

async function makeServiceAccountKey(): Promise<void> {
  if (existsSync(file('service-accounts.pub'))) return;
  const key = file('service-accounts.key');
  await run('openssl', ['genrsa', '-out', key, '2048']);
  await run('openssl', ['rsa', '-in', key, '-pubout', '-out', file('service-accounts.pub')]);
}

async function sign({ name, subject, extensions, authority = 'ca' }: Certificate): Promise<void> {
  if (existsSync(file(`${name}.crt`))) return;
  await makeKey(name);
  const key = ['-key', file(`${name}.key`)];
  const request = await run('openssl', ['req', '-new', ...key, '-subj', subject]);
  const extensionFile = file(`${name}.ext`);
  writeFileSync(extensionFile, [...extensions, 'keyUsage=digitalSignature', ''].join('\n'));
  const issuer = ['-CA', file(`${authority}.crt`), '-CAkey', file(`${authority}.key`)];
  const issued = ['-days', DAYS, '-extfile', extensionFile, '-out', file(`${name}.crt`)];
  await run('openssl', ['x509', '-req', ...issuer, '-CAcreateserial', ...issued], {
    input: request,
  });
}

async function makeKey(name: string): Promise<void> {
  const curve = ['-name', 'prime256v1', '-genkey', '-noout'];
  await run('openssl', ['ecparam', ...curve, '-out', file(`${name}.key`)]);
}

function writeKubeconfig(name: string): void {
  const base64 = (path: string): string => readFileSync(file(path)).toString('base64');
  const cluster = { server: API_URL, 'certificate-authority-data': base64('ca.crt') };
  const user = {
    'client-certificate-data': base64(`${name}.crt`),
    'client-key-data': base64(`${name}.key`),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bed', cluster }],
    users: [{ name, user }],
    contexts: [{ name: 'bed', context: { cluster: 'bed', user: name } }],
    'current-context': 'bed',
  };
  // JSON is YAML.
  writeFileSync(file(`${name}.kubeconfig`), JSON.stringify(config, undefined, 2));
}

function file(name: string): string {
  return join(PKI_FOLDER, name);
}

// Who may import whom. ARCHITECTURE.md shows the same rules as a picture.

const CORE = '^server/raft/core/';
const ENCODING = '^server/raft/encoding/';
const ERROR = '^server/raft/error\\.ts$';
const GENERATED = '^proto/gen/';
const RAFT = '^server/raft/';
const RAFT_API = '^server/raft/index\\.ts$';

/** Files of interfaces, which the parts of the library may see of one another. */
const NODE_PORTS =
  '^server/raft/node/(clock|logger|node-api|node-options|node-status|state-machine)\\.ts$';
const STORAGE_PORTS =
  '^server/raft/storage/(file-system|identity-storage|log-storage|meta-storage|snapshot-storage)\\.ts$';
const TRANSPORT_PORTS = '^server/raft/transport/transport\\.ts$';

const NODE_BUILTIN = ['core'];
const MAIN = '(^|/)main\\.ts$';
/** The files beside main.ts that put the parts together. */
const COMPOSITION = '^(server|client|operator)/[^/]+\\.ts$';

/** What other programs use of the client. */
const CLIENT = '^client/(index|process-output)\\.ts$';

/** A rule that lets `from` import its own folder and `allowed`; of packages, only `packages`. */
function layer({ name, comment, from, except = [], allowed, packages = [] }) {
  const modules = packages.map((name) => `node_modules/${name}/`);
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from, pathNot: [MAIN, ...except] },
    to: { pathNot: [from, ...allowed, ...modules], dependencyTypesNot: NODE_BUILTIN },
  };
}

/** A rule that keeps a package out of everything but `users`. */
function onlyIn(pattern, users) {
  return {
    name: `package-${pattern.replaceAll(/[^a-z-]/g, '')}`,
    comment: `Only ${users.join(', ')} may know ${pattern}.`,
    severity: 'error',
    from: { pathNot: [MAIN, '^test/', '^scripts/', '^proto/gen/', ...users] },
    to: { path: `node_modules/${pattern}/` },
  };
}

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one subject, or hide a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'nobody-imports-main',
      comment: 'main.ts puts the parts together; it is not a part.',
      severity: 'error',
      from: {},
      to: { path: MAIN },
    },
    {
      name: 'only-tests-import-tests',
      comment: 'What product code needs from test/ belongs into the product.',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'nobody-imports-scripts',
      comment: 'scripts/ is tooling; only tests of the tooling look into it.',
      severity: 'error',
      from: { pathNot: ['^scripts/', '^test/', '\\.config\\.js$'] },
      to: { path: '^scripts/' },
    },
    {
      name: 'resolvable',
      comment: 'Every import leads to a file or to a package of package.json.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-packages-in-the-product',
      comment: 'Whoever installs the package does not get these.',
      severity: 'error',
      from: { path: '^(client|operator|proto|server)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'core-is-pure',
      comment: 'The core imports the core: no disk, no network, no clock, no packages.',
      severity: 'error',
      from: { path: CORE },
      to: { pathNot: CORE },
    },
    layer({
      name: 'encoding',
      comment: 'Bytes to values and back.',
      from: ENCODING,
      allowed: [CORE, ERROR, GENERATED],
      packages: ['@bufbuild/protobuf'],
    }),
    layer({
      name: 'storage',
      comment: 'Storage knows values and bytes, not who asks for them.',
      from: '^server/raft/storage/',
      allowed: [CORE, ENCODING, ERROR, NODE_PORTS, '^proto/gen/braft/'],
    }),
    layer({
      name: 'transport',
      comment: 'Transport carries messages; it reaches storage and node only by their interfaces.',
      from: '^server/raft/transport/',
      allowed: [CORE, ENCODING, ERROR, GENERATED, NODE_PORTS, STORAGE_PORTS],
      packages: ['@grpc/grpc-js', '@bufbuild/protobuf'],
    }),
    layer({
      name: 'node',
      comment: 'A node gets its storage and transport handed in and sees only their interfaces.',
      from: '^server/raft/node/',
      allowed: [CORE, ENCODING, ERROR, STORAGE_PORTS, TRANSPORT_PORTS],
    }),
    {
      name: 'raft-is-a-library',
      comment: 'The library knows nothing of what is built on it.',
      severity: 'error',
      from: { path: RAFT },
      to: { path: ['^server/(?!raft/)', '^client/', '^operator/', 'node_modules/winston/'] },
    },
    layer({
      name: 'atomic',
      comment: 'The counters use the library by its public entry alone.',
      from: '^server/atomic/',
      allowed: [RAFT_API, GENERATED],
      packages: ['@grpc/grpc-js', '@bufbuild/protobuf'],
    }),
    {
      name: 'server-uses-the-public-raft-api',
      comment: 'What the server needs and index.ts lacks belongs into index.ts.',
      severity: 'error',
      from: { path: '^server/(?!raft/)', pathNot: [MAIN, COMPOSITION] },
      to: { path: RAFT, pathNot: RAFT_API },
    },
    layer({
      name: 'client',
      comment:
        'A client is no server: it shares the text of a peer, the checksum of files, the secret.',
      from: '^client/',
      allowed: [
        GENERATED,
        '^server/raft/core/(peer-id|ids|assert)\\.ts$',
        '^server/raft/encoding/crc32c\\.ts$',
        '^server/raft/transport/secret-file\\.ts$',
        'node_modules/',
      ],
    }),
    layer({
      name: 'controller-runtime',
      comment: 'What any operator needs; it knows nothing of the objects of this one.',
      from: '^operator/controller/',
      allowed: [],
      packages: ['@kubernetes/client-node', 'prom-client'],
    }),
    layer({
      name: 'operator',
      comment: 'The operator is a client of the servers.',
      from: '^operator/',
      allowed: [GENERATED, '^server/version\\.ts$', CLIENT, 'node_modules/'],
    }),
    layer({
      name: 'plugin',
      comment:
        'The plugin looks with the eyes of the operator and decides by its plan; it runs none.',
      from: '^operator/plugin/',
      allowed: [
        GENERATED,
        CLIENT,
        '^operator/(api|resources)/',
        '^operator/cluster/(action|action-note|evidence|group-view|kubernetes-objects|observe|observed|replicas|status)\\.ts$',
        '^operator/cluster/plan/',
        '^operator/controller/(api-client|api-error|clock|event-recorder|kubernetes-object)\\.ts$',
      ],
      packages: ['@kubernetes/client-node', 'commander', 'zod'],
    }),
    {
      name: 'nobody-imports-the-plugin',
      comment: 'It runs on the machines of people, not in the cluster.',
      severity: 'error',
      from: { pathNot: ['^operator/plugin/', '^test/'] },
      to: { path: '^operator/plugin/' },
    },
    {
      name: 'what-if-is-pure',
      comment: 'It plays with values: nothing in it can touch a cluster.',
      severity: 'error',
      from: { path: '^operator/plugin/what-if/' },
      to: { pathNot: ['^operator/plugin/what-if/', '^operator/(api|cluster)/'] },
    },
    onlyIn('@grpc/grpc-js', [
      '^server/raft/transport/',
      '^server/atomic/service',
      '^client/',
      COMPOSITION,
    ]),
    onlyIn('winston', [COMPOSITION]),
    onlyIn('prom-client', ['^server/http/', '^operator/', COMPOSITION]),
    onlyIn('@kubernetes/client-node', ['^operator/']),
  ],
  options: {
    doNotFollow: { path: ['node_modules', '^proto/gen/'] },
    exclude: { path: ['^dist/', '^runtime/', '^coverage/', '^\\.cache/'] },
    moduleSystems: ['es6'],
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.cjs', '.d.ts'],
      mainFields: ['module', 'main', 'types', 'typings'],
    },
  },
};

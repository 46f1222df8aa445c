import { KubeConfig } from '@kubernetes/client-node';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  ApiClient,
  type ApiRequest,
  type WatchEvent,
} from '../../../../operator/controller/api-client.ts';
import { ApiError } from '../../../../operator/controller/api-error.ts';
import { widget, WIDGETS } from '../../../support/kubernetes/kinds.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

type Seen = {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly body: unknown;
};

const OBJECTS = '/apis/test.example.com/v1/namespaces/demo/widgets';
const OBJECT = `${OBJECTS}/a`;
const TYPE = { apiVersion: 'test.example.com/v1', kind: 'Widget' };
const KEY = { namespace: 'demo', name: 'a' };

let server: Server;
let client: ApiClient;
let handle: Handler;
let seen: Seen[];
let observed: string[];

beforeEach(async () => {
  [seen, observed] = [[], []];
  server = createServer((request, response) => {
    void serve(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0;
  client = clientFor(`http://127.0.0.1:${port}`);
});

afterEach(async () => {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
});

function clientFor(address: string): ApiClient {
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [{ name: 'test', server: address, skipTLSVerify: true }],
    users: [{ name: 'me', token: 'secret' }],
    contexts: [{ name: 'test', cluster: 'test', user: 'me' }],
    currentContext: 'test',
  });
  return new ApiClient(config, ({ method }: ApiRequest, code) =>
    observed.push(`${method} ${code}`),
  );
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  request.setEncoding('utf8');
  const parts: string[] = [];
  for await (const part of request) parts.push(String(part));
  const body = parts.join('');
  const url = new URL(request.url ?? '/', 'http://server');
  seen.push({
    method: request.method ?? '',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    contentType: request.headers['content-type'],
    authorization: request.headers.authorization,
    body: body === '' ? undefined : (JSON.parse(body) as unknown),
  });
  handle(request, response, body);
}

function answering(status: number, body: unknown, headers: Record<string, string> = {}): Handler {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
}

function watching(signal = new AbortController().signal): AsyncIterable<WatchEvent> {
  const options = { resourceVersion: '7', timeoutSeconds: 300, signal, namespace: 'demo' };
  return client.watch(WIDGETS, options);
}

async function all(events: AsyncIterable<WatchEvent>): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const { type, object } of events) names.push(`${type} ${object.metadata.name}`);
  return names;
}

describe('ApiClient', () => {
  it('gets an object as the server sends it, as whom it was told to', async () => {
    const object = { ...widget('a'), fieldOfTomorrow: 1 };
    handle = answering(200, object);
    expect(await client.get(WIDGETS, KEY)).toEqual(object);
    expect(seen).toEqual([
      expect.objectContaining({ method: 'GET', path: OBJECT, authorization: 'Bearer secret' }),
    ]);
    expect(observed).toEqual(['GET 200']);
  });

  it('knows of no object where there is none', async () => {
    handle = answering(404, { kind: 'Status', reason: 'NotFound', message: 'no such widget' });
    expect(await client.get(WIDGETS, KEY)).toBeUndefined();
    await client.delete(WIDGETS, KEY);
    await expect(client.patch(WIDGETS, KEY, { body: {} })).rejects.toMatchObject({ code: 404 });
  });

  it('lists page by page', async () => {
    const pages = [
      { items: [widget('a'), widget('b')], metadata: { resourceVersion: '9', continue: 'next' } },
      { items: [widget('c')], metadata: { resourceVersion: '9', continue: '' } },
    ];
    handle = (...call) => {
      answering(200, pages.shift())(...call);
    };
    const list = await client.list(WIDGETS, { labelSelector: 'app=x,!old' });
    expect(list.items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b', 'c']);
    expect(list.items[2]).toEqual({ ...TYPE, ...widget('c') });
    expect(list.resourceVersion).toBe('9');
    expect(seen.map(({ path, query }) => [path, query])).toEqual([
      ['/apis/test.example.com/v1/widgets', { labelSelector: 'app=x,!old', limit: '500' }],
      [
        '/apis/test.example.com/v1/widgets',
        { labelSelector: 'app=x,!old', limit: '500', continue: 'next' },
      ],
    ]);
  });

  it.each([
    {
      what: 'creates',
      call: () => client.create(WIDGETS, widget('a')),
      sent: { method: 'POST', path: OBJECTS, contentType: 'application/json', query: {} },
      body: { ...TYPE, ...widget('a') },
    },
    {
      what: 'applies',
      call: () => client.apply(WIDGETS, widget('a'), { fieldManager: 'me', dryRun: true }),
      sent: {
        ...{ method: 'PATCH', path: OBJECT, contentType: 'application/apply-patch+yaml' },
        query: { fieldManager: 'me', force: 'true', dryRun: 'All' },
      },
      body: { ...TYPE, ...widget('a') },
    },
    {
      what: 'patches a subresource',
      call: () =>
        client.patch(WIDGETS, KEY, {
          ...{ body: { status: { a: null } }, subresource: 'status', fieldManager: 'me' },
        }),
      sent: {
        ...{ method: 'PATCH', path: `${OBJECT}/status`, query: { fieldManager: 'me' } },
        contentType: 'application/merge-patch+json',
      },
      body: { status: { a: null } },
    },
    {
      what: 'deletes',
      call: () =>
        client.delete(WIDGETS, KEY, {
          ...{ preconditions: { uid: 'u' }, propagationPolicy: 'Orphan' as const },
        }),
      sent: { method: 'DELETE', path: OBJECT, contentType: 'application/json', query: {} },
      body: {
        ...{ apiVersion: 'v1', kind: 'DeleteOptions' },
        ...{ preconditions: { uid: 'u' }, propagationPolicy: 'Orphan' },
      },
    },
    {
      what: 'evicts',
      call: () => client.evict(KEY, { uid: 'u' }),
      sent: { method: 'POST', path: '/api/v1/namespaces/demo/pods/a/eviction', query: {} },
      body: {
        ...{ apiVersion: 'policy/v1', kind: 'Eviction', metadata: KEY },
        deleteOptions: { preconditions: { uid: 'u' } },
      },
    },
  ])('$what', async ({ call, sent, body }) => {
    handle = answering(200, widget('a'));
    await call();
    expect(seen).toEqual([expect.objectContaining({ ...sent, body })]);
  });
});

describe('the errors of ApiClient', () => {
  it.each([
    {
      ...{ status: 409, headers: {}, body: { reason: 'Conflict', message: 'modified' } },
      error: { code: 409, reason: 'Conflict', isConflict: true, isGone: false },
      text: `PATCH ${OBJECT}: modified`,
    },
    {
      ...{ status: 429, headers: { 'retry-after': '3' }, body: { reason: 'TooManyRequests' } },
      error: { code: 429, reason: 'TooManyRequests', retryAfterMs: 3_000 },
      text: 'TooManyRequests',
    },
    {
      ...{ status: 410, headers: {}, body: { reason: 'Expired', message: 'too old' } },
      error: { code: 410, isGone: true, retryAfterMs: undefined },
      text: 'too old',
    },
    {
      ...{ status: 502, headers: {}, body: '<html>bad gateway</html>' },
      error: { code: 502, reason: '' },
      text: 'bad gateway',
    },
  ])('tell what the server answered: $status', async ({ status, headers, body, error, text }) => {
    handle = answering(status, body, headers);
    const failure: unknown = await client
      .patch(WIDGETS, KEY, { body: {} })
      .catch((e: unknown) => e);
    expect(failure).toBeInstanceOf(ApiError);
    expect(failure).toMatchObject({ ...error, message: expect.stringContaining(text) as unknown });
  });

  it('have code 0 when nobody answers', async () => {
    handle = (request) => request.socket.destroy();
    await expect(client.get(WIDGETS, KEY)).rejects.toMatchObject({ name: 'ApiError', code: 0 });
    expect(observed).toEqual(['GET 0']);
  });

  it('have code 0 when the answer breaks off or is no JSON', async () => {
    handle = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"meta', () => response.destroy());
    };
    await expect(client.get(WIDGETS, KEY)).rejects.toMatchObject({ name: 'ApiError', code: 0 });
    handle = answering(200, '<html>welcome</html>');
    await expect(client.get(WIDGETS, KEY)).rejects.toMatchObject({ name: 'ApiError', code: 0 });
  });

  it('say what to do when no cluster is configured', async () => {
    const lost = new ApiClient(new KubeConfig());
    await expect(lost.get(WIDGETS, KEY)).rejects.toThrow('set KUBECONFIG');
  });
});

describe('a watch of ApiClient', () => {
  const line = (type: string, name: string): string =>
    `${JSON.stringify({ type, object: widget(name) })}\n`;

  it('puts lines together that arrive in parts', async () => {
    const bytes = Buffer.from(line('ADDED', 'ä') + line('MODIFIED', 'b') + line('DELETED', 'c'));
    handle = (_request, response) => {
      response.writeHead(200);
      const send = (from: number): void => {
        if (from >= bytes.length) response.end();
        else response.write(bytes.subarray(from, from + 7), () => setImmediate(send, from + 7));
      };
      send(0);
    };
    expect(await all(watching())).toEqual(['ADDED ä', 'MODIFIED b', 'DELETED c']);
    expect(seen[0]?.query).toEqual({
      ...{ watch: 'true', allowWatchBookmarks: 'true', resourceVersion: '7' },
      timeoutSeconds: '300',
    });
  });

  it('fails as an ApiError when it cannot be opened, breaks off or sends nonsense', async () => {
    handle = answering(410, { reason: 'Expired', message: 'too old' });
    await expect(all(watching())).rejects.toMatchObject({ isGone: true });
    handle = (_request, response) => {
      response.writeHead(200);
      response.write(line('ADDED', 'a'), () => response.destroy());
    };
    await expect(all(watching())).rejects.toMatchObject({ name: 'ApiError', code: 0 });
    handle = answering(200, 'not json\n');
    await expect(all(watching())).rejects.toMatchObject({ name: 'ApiError', code: 0 });
  });

  it('hangs up when its signal fires or nobody listens any more', async () => {
    let closed = Promise.withResolvers<undefined>();
    handle = (_request, response) => {
      response.writeHead(200);
      response.write(line('ADDED', 'a'));
      response.on('close', closed.resolve);
    };
    const stop = new AbortController();
    await expect(
      (async () => {
        for await (const { type } of watching(stop.signal)) stop.abort(type);
      })(),
    ).rejects.toMatchObject({ name: 'ApiError', code: 0 });
    await closed.promise;
    closed = Promise.withResolvers();
    for await (const event of watching()) {
      expect(event.type).toBe('ADDED');
      break;
    }
    await closed.promise;
  });
});

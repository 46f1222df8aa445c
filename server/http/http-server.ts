import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../raft/index.ts';

/** What a route answers. */
export type HttpAnswer = {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  /** The answer may be kept by browsers. Default: no. */
  readonly cacheable?: boolean;
};

export type HttpRequest = {
  readonly path: string;
  readonly query: URLSearchParams;
  /** The asker is a browser. */
  readonly wantsHtml: boolean;
};

/** Answers a path, or undefined when there is nothing there. */
export type HttpRoutes = (
  request: HttpRequest,
) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>;

const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 15_000;
const CONNECTIONS_MAX = 1000;
const HEADER_BYTES_MAX = 16_384;

const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/** A read-only HTTP server: GET and HEAD of a few routes, everything else refused. */
export class MonitoringHttpServer {
  readonly #server: Server;
  readonly #logger: Logger;

  constructor(routes: HttpRoutes, logger: Logger) {
    this.#logger = logger;
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX }, (request, response) => {
      void this.#answer(routes, request, response);
    });
    this.#server.headersTimeout = HEADERS_TIMEOUT_MS;
    this.#server.requestTimeout = HEADERS_TIMEOUT_MS;
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Resolves once listening. @throws what the system says (EADDRINUSE, EACCES, ...). */
  async listen(port: number, address: string): Promise<void> {
    this.#server.listen(port, address);
    // Rejects with the error event if that comes first.
    await once(this.#server, 'listening');
    this.#server.on('error', (error) => {
      this.#logger.warn('the HTTP server reported an error', { error: error.message });
    });
  }

  /** Stops at once: nobody waits for a status page. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(
    routes: HttpRoutes,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      send(request, response, await answerTo(routes, request));
    } catch (error) {
      this.#logger.warn('an HTTP request failed', { error: String(error) });
      if (response.headersSent) response.destroy();
      else send(request, response, plain(500, 'internal error, see the log of the server\n'));
    }
  }
}

/** An answer of plain text. */
export function plain(status: number, body: string): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}

async function answerTo(routes: HttpRoutes, request: IncomingMessage): Promise<HttpAnswer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return plain(405, 'only GET and HEAD are allowed here\n');
  }
  const target = URL.parse(request.url ?? '/', 'http://server');
  const path = target === null ? undefined : decoded(target.pathname);
  if (target === null || path === undefined) return plain(400, 'the path is not valid\n');
  const wantsHtml = (request.headers.accept ?? '').includes('text/html');
  const answer = await routes({ path, query: target.searchParams, wantsHtml });
  return answer ?? plain(404, 'nothing here; see / for the status page\n');
}

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

function send(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer): void {
  response.writeHead(answer.status, {
    ...SECURITY_HEADERS,
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': answer.cacheable === true ? 'max-age=3600' : 'no-store',
    ...(answer.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

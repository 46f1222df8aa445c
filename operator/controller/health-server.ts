import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from './logger.ts';

const TIMEOUT_MS = 10_000;
const CONNECTIONS_MAX = 100;
const TEXT = 'text/plain; charset=utf-8';

/** Something that can be unwell; a Reflector or a Manager. */
export type HealthCheck = {
  /** What is wrong, undefined when nothing is. */
  problem(): string | undefined;
};

export type HealthServerOptions = {
  /** When one of these has a problem, the process should be restarted. */
  readonly live: readonly HealthCheck[];
  /** When one of these has a problem, the process cannot work yet. */
  readonly ready: readonly HealthCheck[];
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly logger: Logger;
};

type Answer = { readonly status: number; readonly contentType: string; readonly body: string };

/** Serves /healthz, /readyz and /metrics over HTTP. */
export class HealthServer {
  readonly #options: HealthServerOptions;
  readonly #server: Server;

  constructor(options: HealthServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      void this.#answer(request, response);
    });
    this.#server.headersTimeout = TIMEOUT_MS;
    this.#server.requestTimeout = TIMEOUT_MS;
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Returns the port, which is a free one for 0. @throws what the system says. */
  async listen(port: number, address?: string): Promise<number> {
    this.#server.listen(port, address);
    await once(this.#server, 'listening');
    this.#server.on('error', (error) => {
      this.#options.logger.warn('the health server reported an error', { error: error.message });
    });
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : port;
  }

  /** Stops at once. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      send(request, response, await this.#answerTo(request));
    } catch (error) {
      this.#options.logger.warn('a request for health or metrics failed', {
        error: String(error),
      });
      if (response.headersSent) response.destroy();
      else send(request, response, { status: 500, contentType: TEXT, body: 'see the log\n' });
    }
  }

  async #answerTo({ method, url = '/' }: IncomingMessage): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, contentType: TEXT, body: 'only GET and HEAD are allowed here\n' };
    }
    switch (url.split('?')[0]) {
      case '/healthz':
        return verdict(this.#options.live);
      case '/readyz':
        return verdict(this.#options.ready);
      case '/metrics':
        return { status: 200, ...(await this.#options.metrics()) };
      default:
        return { status: 404, contentType: TEXT, body: '/healthz, /readyz or /metrics\n' };
    }
  }
}

function verdict(checks: readonly HealthCheck[]): Answer {
  const problems = checks.flatMap((check) => check.problem() ?? []);
  const isWell = problems.length === 0;
  const body = isWell ? 'ok\n' : `${problems.join('\n')}\n`;
  return { status: isWell ? 200 : 503, contentType: TEXT, body };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(answer.status === 405 && { allow: 'GET, HEAD' }),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { chromium } from 'playwright-core';
import { connect } from '../../client/index.ts';
import { ClusterProcess } from '../support/cluster-process.ts';
import { chromiumPath, requires } from '../support/requires.ts';

const CHROMIUM_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

let cluster: ClusterProcess;

beforeAll(async () => {
  cluster = new ClusterProcess({ size: 3, firstPort: 24_500 });
  await cluster.start();
});

afterAll(async () => {
  await cluster.stop();
});

describe('the status page in a real browser', () => {
  requires('chromium')(
    'shows live members, without errors and without asking anybody else',
    async () => {
      const executablePath = chromiumPath();
      if (executablePath === undefined) throw new Error('no chromium');
      const browser = await chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
      try {
        const page = await browser.newPage();
        const problems: string[] = [];
        const foreign: string[] = [];
        const home = `http://127.0.0.1:${String(cluster.server(0).httpPort)}`;
        page.on('pageerror', (error) => problems.push(error.message));
        page.on('console', (line) => {
          if (line.type() === 'error') problems.push(line.text());
        });
        page.on('request', (request) => {
          if (!request.url().startsWith(home) && !request.url().startsWith('data:')) {
            foreign.push(request.url());
          }
        });
        await page.goto(`${home}/`);
        for (const { port } of cluster.servers) {
          await page
            .getByText(`127.0.0.1:${String(port)}`)
            .first()
            .waitFor();
        }
        await using client = connect({ servers: cluster.conf, timeoutMs: 10_000 });
        await client.exchange(1n, 5n);
        // Not the one that serves the page.
        const down = cluster.server(2);
        await cluster.kill(down);
        await page
          .getByText(/unreachable|not reachable|down/i)
          .first()
          .waitFor();
        expect(foreign).toEqual([]);
        expect(problems).toEqual([]);
      } finally {
        await browser.close();
      }
    },
    60_000,
  );
});

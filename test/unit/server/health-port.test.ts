import { describe, expect, it } from '@jest/globals';
import { HealthPort } from '../../../server/health-port.ts';
import { HealthClient } from '../../support/health-client.ts';

const PORT = 27_280;
const SERVICES = ['startup', 'liveness', 'readiness', ''];

async function statuses(): Promise<readonly string[]> {
  using client = new HealthClient(`127.0.0.1:${String(PORT)}`);
  return await Promise.all(SERVICES.map((service) => client.check(service)));
}

describe('HealthPort', () => {
  it('is alive from the first moment, started once, and ready or not', async () => {
    const port = await HealthPort.open('127.0.0.1', PORT);
    expect(await statuses()).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
    port.started();
    expect(await statuses()).toEqual(['SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
    port.setReady(true);
    expect(await statuses()).toEqual(['SERVING', 'SERVING', 'SERVING', 'SERVING']);
    port.setReady(false);
    expect(await statuses()).toEqual(['SERVING', 'SERVING', 'NOT_SERVING', 'NOT_SERVING']);
    port.close();
  });

  it('says which flag names a port that is taken', async () => {
    const port = await HealthPort.open('127.0.0.1', PORT);
    const second = HealthPort.open('127.0.0.1', PORT);
    await expect(second).rejects.toMatchObject({ code: 'EBUSY' });
    await expect(second).rejects.toThrow(/cannot listen at .*in use.*--health_port/);
    port.close();
  });
});

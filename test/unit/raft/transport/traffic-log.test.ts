import { describe, expect, it } from '@jest/globals';
import { MonotonicMs } from '../../../../server/raft/core/ids.ts';
import { silentLogger } from '../../../../server/raft/node/logger.ts';
import { TrafficLog } from '../../../../server/raft/transport/traffic-log.ts';

function trafficLog() {
  const lines: { readonly message: string; readonly fields: unknown }[] = [];
  let now = 0;
  const warn = (message: string, fields?: unknown): void => {
    lines.push({ message, fields });
  };
  const log = new TrafficLog({ now: () => MonotonicMs(now) }, { ...silentLogger, warn });
  const pass = (ms: number): void => {
    now += ms;
  };
  return { log, lines, pass };
}

describe('TrafficLog', () => {
  it('logs a matter again after ten seconds, with how often it came', () => {
    const { log, lines, pass } = trafficLog();
    for (let second = 0; second < 11; second++) {
      log.warn('malformed', 'dropped', 'peer', 'why');
      pass(1_000);
    }
    expect(lines.map(({ fields }) => fields)).toEqual([
      { peer: 'peer', reason: 'why' },
      { peer: 'peer', reason: 'why', suppressed: 9 },
    ]);
    expect(log.counts()).toEqual({ malformed: 11 });
  });

  it('bounds how many lines strangers can cause', () => {
    const { log, lines, pass } = trafficLog();
    for (let at = 0; at < 5_000; at++) log.warn('malformed', 'dropped', `peer ${at}`, 'why');
    expect(lines).toHaveLength(512);
    pass(10_000);
    log.warn('malformed', 'dropped', 'a new one', 'why');
    expect(lines).toHaveLength(513);
  });

  it('lets no text from the network forge a line', () => {
    const { log, lines } = trafficLog();
    log.warn('malformed', 'dropped', 'peer\nerror all is lost', `\u001b[2J${'x'.repeat(5_000)}`);
    const fields = lines[0]?.fields as { readonly peer: string; readonly reason: string };
    expect(fields.peer).toBe('peer?error all is lost');
    expect(fields.reason.startsWith('?[2J')).toBe(true);
    expect(fields.reason).toHaveLength(200);
  });
});

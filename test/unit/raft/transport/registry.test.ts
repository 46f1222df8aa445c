import { describe, expect, it } from '@jest/globals';
import { Incarnation } from '../../../../server/raft/core/ids.ts';
import { incompatibility, Registry } from '../../../../server/raft/transport/registry.ts';
import type { Hello } from '../../../../server/raft/transport/wire-frame.ts';
import { peerId, RecordingReceiver } from '../../../support/transport-host.ts';

const A = peerId('127.0.0.1:8300');
const B = peerId('127.0.0.1:8301');

function hello(formatVersionMin: number, formatVersionMax: number): Hello {
  return { formatVersionMin, formatVersionMax, nodes: [] };
}

function register(registry: Registry, group: string, versions: readonly [number, number]) {
  const receiver = new RecordingReceiver();
  const [formatVersionMin, formatVersionMax] = versions;
  const announcement = { incarnation: Incarnation('disk'), formatVersionMin, formatVersionMax };
  const leave = registry.add({ group, peer: A, announcement, receiver });
  return { receiver, leave };
}

describe('incompatibility', () => {
  it.each([
    ['the same', hello(1, 1), hello(1, 1), true],
    ['overlapping', hello(1, 2), hello(2, 4), true],
    ['one within the other', hello(1, 9), hello(3, 4), true],
    ['too old', hello(2, 3), hello(1, 1), false],
    ['too new', hello(1, 1), hello(2, 3), false],
    ['not known yet on our side', hello(0, 0), hello(7, 9), true],
    ['not known yet on their side', hello(7, 9), hello(0, 0), true],
  ])('of versions that are %s', (_, ours, theirs, compatible) => {
    expect(incompatibility(ours, theirs) === undefined).toBe(compatible);
  });
});

describe('Registry', () => {
  it('greets with the versions that all its nodes share', () => {
    const registry = new Registry(() => undefined);
    expect(registry.hello()).toEqual({ formatVersionMin: 0, formatVersionMax: 0, nodes: [] });
    register(registry, 'g', [1, 3]);
    register(registry, 'h', [2, 5]);
    expect(registry.hello()).toMatchObject({ formatVersionMin: 2, formatVersionMax: 3 });
    expect(registry.hello().nodes.map(({ group }) => group)).toEqual(['g', 'h']);
  });

  it('forgets a node that left, but not one that took its place', () => {
    let changes = 0;
    const registry = new Registry(() => changes++);
    const first = register(registry, 'g', [1, 1]);
    const second = register(registry, 'g', [1, 1]);
    first.leave();
    expect(registry.receiverOf('g', A)).toBe(second.receiver);
    second.leave();
    expect(registry.receiverOf('g', A)).toBeUndefined();
    expect(changes).toBe(3);
  });

  it('announces a greeting to the nodes of the same group, not to the node itself', () => {
    const registry = new Registry(() => undefined);
    const { receiver } = register(registry, 'g', [1, 1]);
    const other = register(registry, 'h', [1, 1]).receiver;
    const incarnation = Incarnation('disk of b');
    const nodes = [A, B].map((peer) => ({ group: 'g', peer, incarnation }));
    registry.announce({ formatVersionMin: 1, formatVersionMax: 2, nodes });
    expect(receiver.announcements).toEqual([
      { peer: B, announcement: { incarnation, formatVersionMin: 1, formatVersionMax: 2 } },
    ]);
    expect(other.announcements).toEqual([]);
  });
});

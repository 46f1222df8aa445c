import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  ANY_PEER,
  parsePeerId,
  parsePeers,
  peerAddress,
  peerFields,
  peersText,
} from '../../../../server/raft/core/peer-id.ts';

describe('parsePeerId', () => {
  it.each([
    ['127.0.0.1:8300', '127.0.0.1:8300:0:0'],
    ['127.0.0.1:8300:', '127.0.0.1:8300:0:0'],
    ['127.0.0.1:8300:2', '127.0.0.1:8300:2:0'],
    ['127.0.0.1:8300:2:', '127.0.0.1:8300:2:0'],
    ['127.0.0.1:8300:2:1', '127.0.0.1:8300:2:1'],
    ['127.0.0.1:08300:007:00', '127.0.0.1:8300:7:0'],
    [' 127.0.0.1:8300 ', '127.0.0.1:8300:0:0'],
    ['0.0.0.0:0', ANY_PEER],
    ['0.0.0.0:0:0:0', ANY_PEER],
    ['255.255.255.255:65535:999999999:0', '255.255.255.255:65535:999999999:0'],
    ['Atomic-0.Atomic.Default.SVC.:8300', 'atomic-0.atomic.default.svc:8300:0:0'],
    ['localhost:1', 'localhost:1:0:0'],
    ['a_b:1', 'a_b:1:0:0'],
    ['1and1.example:80', '1and1.example:80:0:0'],
    [`${'a'.repeat(63)}:1`, `${'a'.repeat(63)}:1:0:0`],
    ['[::1]:8300', '[::1]:8300:0:0'],
    ['[::]:8300:1', '[::]:8300:1:0'],
    ['[0:0:0:0:0:0:0:1]:8300', '[::1]:8300:0:0'],
    ['[2001:DB8::0001]:8300', '[2001:db8::1]:8300:0:0'],
    ['[2001:db8:0:1:1:1:1:1]:1', '[2001:db8:0:1:1:1:1:1]:1:0:0'],
    ['[2001:0:0:1:0:0:0:1]:1', '[2001:0:0:1::1]:1:0:0'],
    ['[fe80:0:0:1:0:0:1:2]:1', '[fe80::1:0:0:1:2]:1:0:0'],
    ['[1::]:1', '[1::]:1:0:0'],
  ])('reads %p as %p', (text, canonical) => {
    expect(parsePeerId(text)).toEqual({ ok: true, peer: canonical });
  });

  it.each([
    ['', 'expected host:port'],
    ['127.0.0.1', 'expected host:port'],
    ['127.0.0.1:', 'expected host:port'],
    ['127.0.0.1:port', 'expected host:port'],
    ['127.0.0.1:-1', 'expected host:port'],
    ['127.0.0.1:8300:0:0:0', 'expected host:port'],
    ['127.0.0.1:8300:0:0 and more', 'expected host:port'],
    ['127.0.0.1:8300,', 'expected host:port'],
    ['127.0.0.1:8300:-1', 'expected host:port'],
    ['127.0.0.1:8300:1234567890', 'expected host:port'],
    ['127.0.0.1:8300:0:learner', 'expected host:port'],
    ['::1:8300', 'expected host:port'],
    ['[::1:8300', 'expected host:port'],
    ['[::1]8300', 'expected host:port'],
    ['a:1\nb:2', 'expected host:port'],
    ['127.0.0.1:65536', 'the port is above 65535'],
    ['127.0.0.1:8300:0:2', 'the role must be 0'],
    [':8300', 'neither a name nor an IP'],
    ['.:8300', 'neither a name nor an IP'],
    ['a..b:8300', 'neither a name nor an IP'],
    ['-a:8300', 'neither a name nor an IP'],
    ['a-:8300', 'neither a name nor an IP'],
    ['a b:8300', 'neither a name nor an IP'],
    ['a/../b:8300', 'neither a name nor an IP'],
    [`${'a'.repeat(64)}:1`, 'neither a name nor an IP'],
    [`${'a.'.repeat(127)}:1`.replace('a.', 'abc.'), 'neither a name nor an IP'],
    ['256.0.0.1:1', 'neither a name nor an IP'],
    ['1.2.3:1', 'neither a name nor an IP'],
    ['1.2.3.04:1', 'neither a name nor an IP'],
    ['12345:1', 'neither a name nor an IP'],
    ['[]:1', 'neither a name nor an IP'],
    ['[1:2]:1', 'neither a name nor an IP'],
    ['[1::2::3]:1', 'neither a name nor an IP'],
    ['[1:2:3:4:5:6:7:8:9]:1', 'neither a name nor an IP'],
    ['[1:2:3:4:5:6:7::8]:1', 'neither a name nor an IP'],
    ['[12345::]:1', 'neither a name nor an IP'],
    ['[fe80::1%eth0]:1', 'neither a name nor an IP'],
    ['[g::]:1', 'neither a name nor an IP'],
  ])('refuses %p: %s', (text, why) => {
    const parsed = parsePeerId(text);
    expect(parsed).toMatchObject({ ok: false });
    expect('reason' in parsed && parsed.reason).toContain(why);
  });

  it('repeats no more than 100 characters of what it refuses', () => {
    const parsed = parsePeerId('x'.repeat(100_000));
    expect('reason' in parsed && parsed.reason.length).toBeLessThan(200);
  });

  const label = fc.stringMatching(/^[a-zA-Z][a-zA-Z0-9]{0,8}$/);
  const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
  const sparse = fc.oneof({ weight: 2, arbitrary: fc.constant('0') }, group);
  const host = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
    fc.ipV4(),
    fc.array(sparse, { minLength: 8, maxLength: 8 }).map((groups) => `[${groups.join(':')}]`),
    fc
      .ipV6()
      .filter((text) => !text.includes('.'))
      .map((text) => `[${text}]`),
  );
  const texts = fc
    .tuple(host, fc.nat(65_535), fc.option(fc.nat(999), { nil: undefined }), fc.nat(1))
    .map(([name, port, index, role]) =>
      index === undefined
        ? `${name}:${String(port)}`
        : `${name}:${String(port)}:${String(index)}:${String(role)}`,
    );

  it('leaves canonical text as it is, and equal fields mean equal text', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parsePeerId(text);
        if (!parsed.ok) throw new Error(parsed.reason);
        expect(parsePeerId(parsed.peer)).toEqual(parsed);
        const { host: name, port, index, role } = peerFields(parsed.peer);
        const bracketed = name.includes(':') ? `[${name}]` : name;
        expect(parsed.peer).toBe(
          `${bracketed}:${String(port)}:${String(index)}:${role === 'witness' ? '1' : '0'}`,
        );
        expect(peerAddress(parsed.peer)).toBe(`${bracketed}:${String(port)}`);
      }),
    );
  });

  it('names the same IPv6 address as the URL standard does', () => {
    const addresses = fc.array(sparse, { minLength: 8, maxLength: 8 });
    fc.assert(
      fc.property(addresses, (groups) => {
        const text = `[${groups.join(':')}]`;
        const parsed = parsePeerId(`${text}:8300`);
        expect(parsed.ok && peerAddress(parsed.peer)).toBe(new URL(`http://${text}:8300`).host);
      }),
    );
  });

  it('answers any text with a peer or a reason', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const parsed = parsePeerId(text);
        if (parsed.ok) expect(parsePeerId(parsed.peer)).toEqual(parsed);
        else expect(parsed.reason).toContain('is not a peer id');
      }),
    );
  });
});

describe('parsePeers', () => {
  it.each([
    ['', []],
    [' , ,', []],
    ['a:1', ['a:1:0:0']],
    ['b:1,a:1', ['b:1:0:0', 'a:1:0:0']],
    ['a:1,b:1,', ['a:1:0:0', 'b:1:0:0']],
    [' a:1 , a:1:1 ', ['a:1:0:0', 'a:1:1:0']],
  ])('reads %p', (text, peers) => {
    const parsed = parsePeers(text);
    expect(parsed.ok && [...parsed.peers]).toEqual(peers);
  });

  it.each([
    ['a:1,a:1:0', 'listed twice'],
    ['a:1,A.:01:0:0', 'listed twice'],
    ['a:1;b:1', 'expected host:port'],
    ['a:1,b', '"b" is not a peer id'],
  ])('refuses %p: %s', (text, why) => {
    const parsed = parsePeers(text);
    expect('reason' in parsed && parsed.reason).toContain(why);
  });

  it('peersText writes a set in one way only, which reads back as that set', () => {
    const sets = fc.uniqueArray(fc.nat(99), { maxLength: 6 });
    fc.assert(
      fc.property(sets, (ports) => {
        const text = (numbers: readonly number[]): string =>
          numbers.map((port) => `host:${String(port)}`).join(',');
        const [forward, backward] = [parsePeers(text(ports)), parsePeers(text(ports.toReversed()))];
        if (!forward.ok || !backward.ok) throw new Error('a list that cannot be read');
        expect(peersText(forward.peers)).toBe(peersText(backward.peers));
        expect(parsePeers(peersText(forward.peers))).toEqual(forward);
      }),
    );
  });
});

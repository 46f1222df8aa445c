import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../../../../server/raft/encoding/crc32c.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The definition: one bit at a time. */
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('crc32c', () => {
  it.each([
    ['nothing', new Uint8Array(0), 0],
    ['the check value', ascii('123456789'), 0xe3069283],
    ['32 zero bytes (RFC 3720)', new Uint8Array(32), 0x8a9136aa],
    ['32 bytes of ones (RFC 3720)', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['rising bytes (RFC 3720)', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ])('knows %s', (_, bytes, expected) => {
    expect(crc32c(bytes)).toBe(expected);
  });

  it('equals its definition for every length and content', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(crc32c(bytes)).toBe(bitwise(bytes));
      }),
    );
  });

  it('continues over parts', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.uint8Array(), (head, tail) => {
        expect(crc32c(tail, crc32c(head))).toBe(crc32c(Uint8Array.from([...head, ...tail])));
      }),
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import { murmurHash3 } from '../../../../server/raft/encoding/murmur-hash3.ts';

describe('murmurHash3', () => {
  // Values of the reference implementation, MurmurHash3_x86_32 with seed 0.
  it.each([
    ['', 0],
    ['a', 0x3c2569b2],
    ['test', 0xba6bd213],
    ['Hello, world!', 0xc0363e43],
    ['The quick brown fox jumps over the lazy dog', 0x2e4ff723],
  ])('knows %j', (text, expected) => {
    expect(murmurHash3(new TextEncoder().encode(text))).toBe(expected);
  });
});

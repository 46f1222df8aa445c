/**
 * MurmurHash3_x86_32 with seed 0: braft's checksum of records (type 0) on processors without a
 * CRC32C instruction. Only read, never written.
 */
export function murmurHash3(bytes: Uint8Array): number {
  const tail = bytes.length & 3;
  const blocksEnd = bytes.length - tail;
  let hash = 0;
  for (let at = 0; at < blocksEnd; at += 4) {
    hash ^= scrambled(blockAt(bytes, at));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (tail > 0) hash ^= scrambled(blockAt(bytes, blocksEnd));
  return finished(hash ^ bytes.length);
}

/** Up to four bytes as a little-endian number; bytes past the end count as zero. */
function blockAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] ?? 0) |
    ((bytes[at + 1] ?? 0) << 8) |
    ((bytes[at + 2] ?? 0) << 16) |
    ((bytes[at + 3] ?? 0) << 24)
  );
}

function scrambled(block: number): number {
  const mixed = Math.imul(block, 0xcc9e2d51);
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
}

function finished(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** What a disk writes in one piece. */
export const SECTOR_BYTES = 512;

/** Uniform in [0, 1); the same seed gives the same numbers. */
export type Random = () => number;

const ZERO_SECTOR = new Uint8Array(SECTOR_BYTES);
const ZEROS = Buffer.alloc(64 * 1024);

/** A sector's content; undefined: zeros. Shared between images, so changed only while owned. */
type Sector = Uint8Array | undefined;

/** A sync under way: what it will have made durable when it succeeds. */
export type SyncUnderWay = { readonly sectors: Map<number, Sector>; readonly size: number };

/** One file of the simulated disk: what programs see, and what would be left after a crash. */
export class SimulatedFile {
  readonly directory = false;
  size = 0;
  readonly #visible = new Map<number, Uint8Array>();
  readonly #durable = new Map<number, Uint8Array>();
  #durableSize = 0;
  /** Sectors written since the last sync began; only their arrays may be changed in place. */
  #dirty = new Set<number>();
  readonly #syncs = new Set<SyncUnderWay>();

  read(target: Uint8Array, position: number): number {
    const end = Math.min(this.size, position + target.length);
    for (let at = position; at < end;) {
      const sector = Math.floor(at / SECTOR_BYTES);
      const from = at % SECTOR_BYTES;
      const length = Math.min(SECTOR_BYTES - from, end - at);
      const content = this.#visible.get(sector) ?? ZERO_SECTOR;
      target.set(content.subarray(from, from + length), at - position);
      at += length;
    }
    return Math.max(0, end - position);
  }

  write(bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    for (let at = position; at < end;) {
      const sector = Math.floor(at / SECTOR_BYTES);
      const from = at % SECTOR_BYTES;
      const zeros = from === 0 ? this.#untouchedZeros(bytes, at - position, sector) : 0;
      const length = zeros > 0 ? zeros : Math.min(SECTOR_BYTES - from, end - at);
      if (zeros === 0) {
        const offset = at - position;
        this.#own(sector).set(bytes.subarray(offset, offset + length), from);
      }
      at += length;
    }
    this.size = Math.max(this.size, end);
  }

  truncate(size: number): void {
    const firstGone = Math.ceil(size / SECTOR_BYTES);
    for (const sector of [...this.#visible.keys()]) {
      if (sector < firstGone) continue;
      this.#visible.delete(sector);
      this.#dirty.add(sector);
    }
    const partial = Math.floor(size / SECTOR_BYTES);
    if (partial < firstGone && this.#visible.has(partial)) {
      this.#own(partial).fill(0, size % SECTOR_BYTES);
    }
    this.size = size;
  }

  /** Begins a sync of what has been written so far; later writes are not covered. */
  beginSync(): SyncUnderWay {
    const sectors = new Map<number, Sector>();
    for (const sector of this.#dirty) sectors.set(sector, this.#visible.get(sector));
    const sync = { sectors, size: this.size };
    this.#dirty = new Set();
    this.#syncs.add(sync);
    return sync;
  }

  /**
   * Ends a sync. A failed one leaves what Linux leaves: the pages count as clean, still show the
   * new content, and never reach the disk. One that succeeds waits for the pages that syncs begun
   * before it are still writing: nothing older reaches the disk after it.
   */
  endSync(sync: SyncUnderWay, succeeded: boolean): void {
    if (!this.#syncs.has(sync)) return;
    if (!succeeded) {
      this.#syncs.delete(sync);
      return;
    }
    for (const begun of this.#syncs) {
      this.#syncs.delete(begun);
      for (const [sector, content] of begun.sectors) put(this.#durable, sector, content);
      if (begun === sync) break;
    }
    this.#durableSize = sync.size;
  }

  /** Flips a bit of what is on disk, unseen by any write. */
  flipBit(bit: number): void {
    const at = bit >> 3;
    const sector = Math.floor(at / SECTOR_BYTES);
    for (const image of [this.#visible, this.#durable]) {
      const content = (image.get(sector) ?? ZERO_SECTOR).slice();
      content[at % SECTOR_BYTES] = (content[at % SECTOR_BYTES] ?? 0) ^ (1 << (bit & 7));
      image.set(sector, content);
    }
  }

  /** Loses power: of what was not synced any part survives, `random` says which. */
  crash(random: Random): void {
    for (const sync of this.#syncs) this.#settle(sync.sectors, sync.size, random);
    const latest = new Map<number, Sector>();
    for (const sector of this.#dirty) latest.set(sector, this.#visible.get(sector));
    this.#settle(latest, this.size, random);
    this.becomeDurable();
  }

  /** Loses power and everything that was not synced. */
  becomeDurable(): void {
    this.#syncs.clear();
    this.#dirty = new Set();
    this.size = this.#durableSize;
    this.#visible.clear();
    for (const [sector, content] of this.#durable) this.#visible.set(sector, content);
  }

  /** A file of its own with what is durable here. */
  durableCopy(): SimulatedFile {
    const copy = new SimulatedFile();
    for (const [sector, content] of this.#durable) copy.#durable.set(sector, content);
    copy.#durableSize = this.#durableSize;
    copy.becomeDurable();
    return copy;
  }

  #settle(sectors: ReadonlyMap<number, Sector>, size: number, random: Random): void {
    // Whole-or-nothing outcomes are the rarest by chance and the likeliest in life.
    const mood = random();
    const share = mood < 0.2 ? 0 : mood < 0.4 ? 1 : random();
    let mayTear = random() < 0.5;
    for (const [sector, content] of sectors) {
      if (random() < share) put(this.#durable, sector, content);
      else if (mayTear && random() < 0.2) {
        mayTear = false;
        put(this.#durable, sector, torn(this.#durable.get(sector), content, random));
      }
    }
    if (size !== this.#durableSize && random() < Math.max(share, 0.3)) this.#durableSize = size;
    this.#dropBeyondEnd();
  }

  #dropBeyondEnd(): void {
    const end = this.#durableSize;
    for (const [sector, content] of this.#durable) {
      const start = sector * SECTOR_BYTES;
      if (start >= end) this.#durable.delete(sector);
      else if (start + SECTOR_BYTES > end) {
        this.#durable.set(sector, content.slice().fill(0, end - start));
      }
    }
  }

  /** How many zero bytes from here go to sectors that never held anything: nothing to keep. */
  #untouchedZeros(bytes: Uint8Array, offset: number, sector: number): number {
    const length = Math.min(ZEROS.length, bytes.length - offset);
    if (bytes[offset] !== 0 || length < SECTOR_BYTES) return 0;
    let last = sector;
    const end = sector + Math.floor(length / SECTOR_BYTES);
    while (last < end && !this.#visible.has(last) && !this.#durable.has(last)) last++;
    const count = (last - sector) * SECTOR_BYTES;
    return count > 0 && ZEROS.compare(bytes, offset, offset + count, 0, count) === 0 ? count : 0;
  }

  #own(sector: number): Uint8Array {
    const content = this.#visible.get(sector);
    if (content !== undefined && this.#dirty.has(sector)) return content;
    const owned = content === undefined ? new Uint8Array(SECTOR_BYTES) : content.slice();
    this.#visible.set(sector, owned);
    this.#dirty.add(sector);
    return owned;
  }
}

function put(image: Map<number, Uint8Array>, sector: number, content: Sector): void {
  if (content === undefined) image.delete(sector);
  else image.set(sector, content);
}

/** Part of the old and part of the new content, cut at any byte. */
function torn(before: Sector, after: Sector, random: Random): Uint8Array {
  const cut = Math.floor(random() * SECTOR_BYTES);
  const [head, tail] = random() < 0.8 ? [after, before] : [before, after];
  const content = (tail ?? ZERO_SECTOR).slice();
  content.set((head ?? ZERO_SECTOR).subarray(0, cut));
  return content;
}

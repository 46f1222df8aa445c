/**
 * What happened in a run: always as a rolling hash, which two runs of one seed must share, and as
 * readable lines when someone wants to look.
 */
export class Trace {
  #hash = 0x811c_9dc5;
  #high = 0x9e37_79b9;
  readonly #lines: string[] | undefined;
  readonly #now: () => number;

  constructor(now: () => number, readable: boolean) {
    this.#now = now;
    this.#lines = readable ? [] : undefined;
  }

  /** Adds a number to the hash. */
  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x0100_0193);
    this.#high = Math.imul(this.#high ^ this.#hash, 0x85eb_ca6b) ^ (this.#high >>> 13);
  }

  /** Adds the bytes of a message to the hash. */
  mixBytes(bytes: Uint8Array): void {
    let hash = this.#hash;
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
    this.#hash = hash;
    this.mix(this.#now() * 1000);
  }

  /** Adds an event to the hash, and to the lines when they are wanted. */
  event(describe: () => string): void {
    if (this.#lines === undefined) return;
    this.#lines.push(`${this.#now().toFixed(3).padStart(10)} ${describe()}`);
  }

  /** 16 hex digits. */
  hash(): string {
    const hex = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');
    return hex(this.#hash) + hex(this.#high);
  }

  lines(): readonly string[] {
    return this.#lines ?? [];
  }
}

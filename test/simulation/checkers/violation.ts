/** What must never happen has happened: the run ends, and its seed is worth keeping. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Which checker found it. */
  readonly checker: string;

  constructor(checker: string, message: string) {
    super(`${checker}: ${message}`);
    this.checker = checker;
  }
}

/** Throws a Violation unless `holds`; `describe` is called only then. */
export function check(holds: boolean, checker: string, describe: () => string): asserts holds {
  if (!holds) throw new Violation(checker, describe());
}

import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Writes Jest's own results object as JSON. Jest's `--json --outputFile` does the same but
 * replaces the readable report; this one stands beside it.
 */
export default class JsonReporter {
  #file;

  constructor(_globalConfig, options) {
    this.#file = options.file;
  }

  onRunComplete(_contexts, results) {
    mkdirSync(dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, JSON.stringify(results));
  }
}

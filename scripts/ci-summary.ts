// Sums the JSON reports of the test runs and says whether everything ran and passed.
//
//   node scripts/ci-summary.ts --suites unit,paper report.json ...
//
// The last line is `N passed, N failed, N skipped`.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

type JestReport = {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly {
    readonly testFilePath: string;
    readonly numPassingTests: number;
    readonly testResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
};

type Totals = { passed: number; failed: number; skipped: number };

const { values, positionals } = parseArgs({
  options: { suites: { type: 'string', default: '' } },
  allowPositionals: true,
});

const problems: string[] = [];
const reports = positionals.map(readReport).filter((report) => report !== undefined);
const totals = reports.reduce(add, { passed: 0, failed: 0, skipped: 0 });
// A run without a report has failed as a whole.
totals.failed += positionals.length - reports.length;

for (const suite of values.suites.split(',').filter(Boolean)) {
  const ran = reports.some(({ testResults }) =>
    testResults.some(
      ({ testFilePath, numPassingTests }) =>
        testFilePath.includes(`/test/${suite}/`) && numPassingTests > 0,
    ),
  );
  if (!ran) problems.push(`suite test/${suite} did not run`);
}
problems.push(...reports.flatMap(skippedTests));

for (const problem of problems) console.log(problem);
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
const isGreen =
  problems.length === 0 && totals.passed > 0 && totals.failed === 0 && totals.skipped === 0;
process.exitCode = isGreen ? 0 : 1;

function readReport(file: string): JestReport | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as JestReport;
  } catch (error) {
    problems.push(
      `no test report ${file}: ${error instanceof Error ? error.message : 'unreadable'}`,
    );
    return undefined;
  }
}

function add(sum: Totals, report: JestReport): Totals {
  return {
    passed: sum.passed + report.numPassedTests,
    failed: sum.failed + report.numFailedTests + report.numRuntimeErrorTestSuites,
    skipped: sum.skipped + report.numPendingTests + report.numTodoTests,
  };
}

function skippedTests(report: JestReport): string[] {
  return report.testResults
    .flatMap(({ testResults }) => testResults)
    .filter(({ status }) => ['pending', 'todo', 'skipped', 'disabled'].includes(status))
    .map(({ fullName }) => `skipped: ${fullName}`);
}

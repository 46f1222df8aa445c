// Repairs what a tool can repair: lint findings, format, generated code.
import { spawnSync } from 'node:child_process';
import { regenerate } from './generated-code.ts';

await regenerate();
const steps: [program: string, ...args: string[]][] = [
  ['eslint', '--fix', '.'],
  ['prettier', '--write', '--log-level=warn', '.'],
];
const failed = steps.filter(([program, ...args]) => {
  return spawnSync(program, args, { stdio: 'inherit' }).status !== 0;
});
process.exitCode = failed.length === 0 ? 0 : 1;

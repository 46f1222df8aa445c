import { readFileSync } from 'node:fs';

/** Linux counts the CPU time of other processes in hundredths of a second. */
const MICROSECONDS_PER_TICK = 10_000;

/** CPU time that a process has used so far, in microseconds, user and system together. */
export function cpuTimeUs(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  // The name in parentheses may hold anything; utime and stime are the 12th and 13th after it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * MICROSECONDS_PER_TICK;
}

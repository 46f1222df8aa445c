import { createPrng } from '../../server/raft/core/prng.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/** What programs do on a disk; calls `acknowledge` whenever something has been promised. */
export type Script = (disk: SimulatedDisk, acknowledge: () => void) => Promise<void>;

/** A disk after a crash, and how much had been promised by then. */
export type Crashed = { readonly disk: SimulatedDisk; readonly acknowledged: number };

/** Crashes differ in what they leave of unsynced writes: so many are tried at each operation. */
const CRASHES_PER_POINT = 4;

/** Lets a script run into a crash at its first disk operation, at its second, and so on to its end. */
export async function* crashes(script: Script): AsyncGenerator<Crashed> {
  for (let point = 1, ended = false; !ended; point++) {
    for (let crash = 0; crash < CRASHES_PER_POINT; crash++) {
      const disk = new SimulatedDisk({
        fault: ({ ordinal }) => (ordinal >= point ? 'EIO' : undefined),
      });
      let acknowledged = 0;
      ended = await runsToItsEnd(script(disk, () => acknowledged++));
      const prng = createPrng(point * CRASHES_PER_POINT + crash);
      disk.crash(() => prng.next());
      disk.fault = undefined;
      yield { disk, acknowledged };
    }
  }
}

/** False when it ran into the fault of the disk; fails when it ended in any other way. */
async function runsToItsEnd(script: Promise<void>): Promise<boolean> {
  try {
    await script;
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes('EIO: simulated')) return false;
    throw error;
  }
}

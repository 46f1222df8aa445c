// Takes the lock of the directory named on the command line and says so; holds it until told to end.
import { lockDirectory } from '../../server/raft/storage/directory-lock.ts';

const [, , directory = ''] = process.argv;
try {
  const release = await lockDirectory(directory);
  console.log('holds');
  process.stdin.once('end', () => void release());
  process.stdin.resume();
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
}

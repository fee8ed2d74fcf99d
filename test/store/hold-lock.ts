/** A process that takes the lock of a data directory and keeps it until it is ended. */
import { lockDirectory } from '../../src/store/lock.ts';

const [directory = '', file = ''] = process.argv.slice(2);
try {
  lockDirectory(directory, file);
  process.stdout.write('locked\n');
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.name : error}\n`);
}
process.stdin.resume();

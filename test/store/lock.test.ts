import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { DirectoryInUseError, lockDirectory } from '../../src/store/lock.ts';

/** Another process that takes the lock. @returns it, and what it said */
async function lockElsewhere(directory: string): Promise<{ child: ChildProcess; said: string }> {
  const program = join(import.meta.dirname, 'hold-lock.ts');
  const child = spawn(process.execPath, [program, directory, join(directory, 'lock')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [said] = await once(child.stdout, 'data');
  return { child, said: String(said).trim() };
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

t.test('one at a time, in this process', async (t) => {
  const directory = t.testdir();
  const file = join(directory, 'lock');
  const unlock = lockDirectory(directory, file);
  t.throws(() => lockDirectory(directory, file), DirectoryInUseError);
  t.throws(() => lockDirectory(directory, file), { message: `${directory} is in use by another hubcap` });
  unlock();
  lockDirectory(directory, file)();
});

t.test('a second process is refused', async (t) => {
  const directory = t.testdir();
  const unlock = lockDirectory(directory, join(directory, 'lock'));
  const { child, said } = await lockElsewhere(directory);
  t.equal(said, 'DirectoryInUseError');
  await end(child, 'SIGTERM');
  unlock();
  const next = await lockElsewhere(directory);
  t.equal(next.said, 'locked');
  await end(next.child, 'SIGTERM');
});

t.test('the lock ends with its process, however that ends', async (t) => {
  const directory = t.testdir();
  const file = join(directory, 'lock');
  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    const { child, said } = await lockElsewhere(directory);
    t.equal(said, 'locked');
    t.throws(() => lockDirectory(directory, file), DirectoryInUseError);
    await end(child, signal);
    lockDirectory(directory, file)();
  }
});

t.test('of many that start at once, one wins', async (t) => {
  const directory = t.testdir();
  const all = await Promise.all(Array.from({ length: 5 }, () => lockElsewhere(directory)));
  t.equal(all.filter(({ said }) => said === 'locked').length, 1);
  await Promise.all(all.map(({ child }) => end(child, 'SIGKILL')));
});

t.test('a place that cannot be written is not said to be in use', async (t) => {
  const directory = t.testdir();
  t.throws(() => lockDirectory(directory, join(directory, 'missing', 'lock')), { message: /unable to open/ });
});

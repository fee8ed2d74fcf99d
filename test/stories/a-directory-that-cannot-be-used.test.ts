import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { LISTENERS, run } from '../helpers/command.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makeDirectory } from '../helpers/mirror.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const NOBODY = 65534;

async function refusals(t: Test, directory: string, expected: RegExp): Promise<void> {
  for (const command of [['serve', ...LISTENERS], ['images'], ['verify']]) {
    const { code, stderr, stdout } = await run(...command, '--data', directory);
    t.match([code, stdout], [1, '']);
    t.match(stderr, expected, command[0] ?? '');
    t.notMatch(stderr, /\n\s+at /, 'no stack');
    t.equal(stderr.trim().split('\n').length, 1, stderr);
  }
}

t.test('a newer layout', async (t) => {
  const directory = await makeDirectory(t);
  await mkdir(join(directory, 'v2'));
  await refusals(t, directory, /has layout v2, this hubcap knows v1: run the newer hubcap/);
});

t.test('a file system that is mounted read-only', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const directory = await makeDirectory(t);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', directory]);
  t.teardown(() => execFileSync('umount', ['-l', directory]));
  for (const name of ['blobs', 'fills', 'aside']) mkdirSync(join(directory, 'v1', name), { recursive: true });
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  await refusals(t, directory, /cannot be used .*read-only.*or choose another directory with --data DIR/);
});

t.test('one that this user may not write', async (t) => {
  if (!needs(t, 'root')) return;
  const directory = await makeDirectory(t);
  await chmod(directory, 0o755);
  const child = spawn(process.execPath, [MAIN, 'serve', ...LISTENERS, '--data', join(directory, 'data')], {
    uid: NOBODY,
    gid: NOBODY,
    env: { PATH: process.env.PATH, HOME: '/nonexistent' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  t.equal(code, 1);
  t.match(stderr, /^hubcap: .* cannot be used \(EACCES.*give this user the right to write it.*--data DIR\n/);
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LISTENERS, run } from '../helpers/command.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

t.test('a file in the place of the control socket is refused and left as it is', async (t) => {
  const directory = await makeDirectory(t);
  const file = join(directory, 'precious.txt');
  await writeFile(file, 'precious', { mode: 0o644 });
  const data = ['--data', join(directory, 'store')];
  const { code, stderr } = await run('serve', ...LISTENERS, ...data, '--control', file);
  t.equal(code, 1);
  t.match(stderr, file, 'it is said which');
  t.notMatch(stderr, /\n\s+at /, 'an explanation, not a stack');
  t.equal(await readFile(file, 'utf8'), 'precious');
  t.equal((await stat(file)).mode & 0o777, 0o644);
});

t.test('who reads only the beginning of a list ends the command quietly', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  for (const name of ['a', 'b', 'c']) {
    registry.push(`team/${name}`, imageOf(name, [100]), 'latest');
    t.equal((await mirror.manifest(`/v2/team/${name}/manifests/latest`)).status, 200);
  }
  for (const format of [['--json'], []]) {
    const child = spawn(process.execPath, [MAIN, 'images', ...format, '--data', mirror.directory], {
      env: { PATH: process.env.PATH, HOME: '/nonexistent' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const [stderr, [code, signal]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    t.same([code, signal, stderr], [0, null, '']);
  }
});

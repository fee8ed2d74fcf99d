import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { APP, inside, makeSide, OTHER, outside } from '../helpers/air-gap.ts';
import { launch, run } from '../helpers/command.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { fillUp, mountSmall } from '../helpers/small-disk.ts';
import { until } from '../helpers/waiting.ts';

t.test('what is refused is refused with a message, before anything is written', async (t) => {
  const out = await outside(t);
  const bundle = out.path('images.tar');
  t.match(await run('export', '--all', '--pinned', '-o', bundle, ...out.flags), {
    code: 2,
    stderr: 'Say one',
  });
  t.match(await run('unpin', APP, OTHER, ...out.flags), { code: 0 });
  t.match(await run('export', '-o', bundle, ...out.flags), { code: 1, stderr: 'nothing is pinned' });
  t.match(await run('export', '-o', bundle, APP, '--all', ...out.flags), { code: 2 });
  t.match(await run('export', '--all', ...out.flags), { code: 2, stderr: '-o FILE' });
  t.match(await run('export', '-o', bundle, 'registry.test/team/nothing', ...out.flags), {
    code: 1,
    stderr: 'is not in the store',
  });
  t.match(await run('export', '-o', out.path('no/such.tar'), APP, ...out.flags), {
    code: 1,
    stderr: 'its directory is not there',
  });
  t.match(await run('export', '-o', '', APP, ...out.flags), { code: 2, stderr: '-o has no name' });
  // What is no file is never replaced, whoever forces it: a pipe here, /dev/null elsewhere.
  execFileSync('mkfifo', [out.path('pipe')]);
  for (const path of [out.path('pipe'), out.directory]) {
    t.match(await run('export', '-o', path, APP, '--force', ...out.flags), { code: 1, stderr: 'is no file' });
  }
  t.ok((await stat(out.path('pipe'))).isFIFO());
  await writeFile(bundle, 'mine');
  t.match(await run('export', '-o', bundle, APP, ...out.flags), { code: 1, stderr: 'is there already' });
  t.equal(await readFile(bundle, 'utf8'), 'mine');
  t.match(await run('export', '-o', bundle, APP, '--since', bundle, ...out.flags, '--force'), {
    code: 1,
    stderr: '--since',
  });
  await writeFile(`${bundle}.partial`, 'of one that was killed');
  t.match(await run('export', '-o', bundle, APP, '--force', ...out.flags), { code: 0 });
  execFileSync('sha256sum', ['-c', 'images.tar.sha256'], { cwd: out.directory });
  const small = await makeSide(t, undefined, 'storage: { maxSize: 100KiB, minFree: 0 }');
  await writeFile(out.path('images.tar.gz'), gzipSync(await readFile(bundle)));
  for (const path of [bundle, out.path('images.tar.gz')])
    t.match(await run('import', path, ...small.flags), { code: 1, stderr: 'the store holds 100KiB' });
  // Of 400 KiB the application is to take a half and more; what was fetched for others is not evicted for the rest.
  const full = await makeSide(t, out.registry, 'storage: { maxSize: 400KiB, minFree: 0 }');
  t.match(await run('prewarm', OTHER, ...full.flags), { code: 0 });
  t.match(await run('prewarm', APP, '--platform', 'all', '--pin', ...full.flags), { code: 0 });
  const large = imageOf('large', [220_000]);
  out.registry.push('team/large', large, 'latest');
  t.match(await run('prewarm', 'registry.test/team/large', ...out.flags), { code: 0 });
  await run('export', '-o', out.path('large.tar'), 'registry.test/team/large', ...out.flags);
  t.match(await run('import', out.path('large.tar'), ...full.flags), {
    code: 1,
    stderr: 'beside what is pinned would make',
  });
  t.match((await run('images', ...full.flags)).stdout, 'registry.test/team/other:latest');
  await writeFile(out.path('cut.tar'), (await readFile(bundle)).subarray(0, 90_000));
  t.match(await run('import', bundle, '--as', 'one=two=three', ...small.flags), {
    code: 2,
    stderr: 'two=three is no image name',
  });
  await mkdir(out.path('a/b/c/d/e'), { recursive: true });
  const noLayout = await run('import', out.path('a'), ...out.flags);
  t.match(noLayout, { code: 1, stderr: /is deeper than an OCI layout\. Nothing was imported\n$/ });
  t.match(await run('import', out.path('cut.tar'), ...small.flags), {
    code: 1,
    stderr: /cut\.tar: .*Nothing was imported/,
  });
});

t.test(
  'a disk that is full: a clear message, and nothing is left',
  { skip: process.getuid?.() !== 0 && 'needs root' },
  async (t) => {
    const out = await outside(t);
    const disk = await mountSmall(t, 1);
    const giveBack = await fillUp(disk);
    const bundle = join(disk, 'images.tar');
    const full = await run('export', '-o', bundle, '--all', ...out.flags);
    t.match(full, {
      code: 1,
      stderr: /its file system is full: make room\. The bundle has .*; nothing is left behind/,
    });
    t.same(await readdir(disk), ['ballast']);
    await giveBack();
    t.match(await run('export', '-o', bundle, '--all', ...out.flags), { code: 0 });
  },
);

t.test('Ctrl-C: of an export no file is left, of an import nothing', async (t) => {
  const out = await makeSide(t);
  const large = imageOf('large', [40 * MIB, 40 * MIB]);
  out.registry.push('team/large', large, 'v1');
  const name = 'registry.test/team/large:v1';
  t.match(await run('prewarm', name, ...out.flags), { code: 0 });
  const bundle = out.path('large.tar');
  const exporting = launch(t, 'export', '-o', bundle, name, ...out.flags);
  await until('it writes', async () => (await sizeOf(`${bundle}.partial`)) > 0);
  exporting.child.kill('SIGINT');
  t.match(await exporting.ended, { code: 130, stderr: 'interrupted: nothing was written' });
  t.same((await readdir(out.directory)).sort(), ['data', 'hubcap.yaml']);

  t.match(await run('export', '-o', bundle, name, ...out.flags), { code: 0 });
  const closed = await inside(t);
  const importing = launch(t, 'import', bundle, ...closed.flags);
  await until('it takes in', async () => (await filesIn(join(closed.data, 'v1'))) > 0, 1);
  importing.child.kill('SIGINT');
  t.match(await importing.ended, { code: 130, stderr: 'nothing is imported' });
  t.match(JSON.parse((await run('status', '--json', ...closed.flags)).stdout), { store: { bytes: 0 } });
  t.match(await run('import', bundle, ...closed.flags), { code: 0 });
});

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

async function filesIn(directory: string): Promise<number> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return found.filter((entry) => entry.isFile() && /blobs|fills/.test(entry.parentPath)).length;
}

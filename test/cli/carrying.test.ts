import { execFileSync } from 'node:child_process';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { amd64, index, makeSide, other, pushImages, type Side } from '../helpers/air-gap.ts';
import { launch, run, runForBytes, runWith } from '../helpers/command.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { fillUp, mountSmall } from '../helpers/small-disk.ts';
import { until } from '../helpers/waiting.ts';

const APP = 'registry.test/team/app:v1';
const OTHER = 'registry.test/team/other:latest';

/** What was fetched and pinned outside. */
async function outside(t: Test): Promise<Side> {
  const side = await makeSide(t);
  pushImages(side.registry);
  const { code, stderr } = await run('prewarm', APP, OTHER, '--platform', 'all', '--pin', ...side.flags);
  t.equal(code, 0, stderr);
  return side;
}

async function inside(t: Test): Promise<Side> {
  const side = await makeSide(t, undefined, 'offline: true');
  await side.registry.close();
  return side;
}

t.test('without a daemon: out, and in again, with a checksum that sha256sum knows', async (t) => {
  const out = await outside(t);
  const bundle = out.path('images.tar');
  const exported = await run('export', '-o', bundle, '--pinned', ...out.flags);
  t.match(exported, {
    code: 0,
    stdout: /team\/app:v1 .*linux\/amd64, linux\/arm64[\s\S]*written to .*images\.tar\nsha256 /,
  });
  execFileSync('sha256sum', ['-c', 'images.tar.sha256'], { cwd: out.directory });
  t.same((await readdir(out.directory)).sort(), ['data', 'hubcap.yaml', 'images.tar', 'images.tar.sha256']);
  const again = await run('export', '-o', out.path('again.tar'), OTHER, APP, '--json', ...out.flags);
  t.match(JSON.parse(again.stdout), { images: [{ reference: APP }, { reference: OTHER }] });
  t.ok((await readFile(out.path('again.tar'))).equals(await readFile(bundle)), 'the same bytes');

  const closed = await inside(t);
  const looked = await run('import', bundle, '--dry-run', ...closed.flags);
  t.match(looked, { code: 0, stdout: /2 images would be imported; nothing was[\s\S]*checksum beside it/ });
  t.match((await run('images', ...closed.flags)).stdout, 'no images yet');
  const imported = await run('import', bundle, ...closed.flags);
  t.match(imported, {
    code: 0,
    stderr: '',
    stdout: /team\/other:latest .* pinned\n[\s\S]*it is what the checksum beside it says/,
  });
  t.match((await run('images', '--pinned', ...closed.flags)).stdout, /team\/app:v1 .* complete +you/);
});

t.test('by running daemons; only what is new is carried; compressed, and through pipes', async (t) => {
  const out = await outside(t);
  const { registry } = out;
  await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, directory: out.data });
  const first = await runForBytes({}, 'export', '-o', '-', OTHER, ...out.flags);
  t.match(first, { code: 0, stderr: /written to standard output\nsha256 / });
  await writeFile(out.path('first.tar'), first.stdout);
  const next = await run(
    'export',
    '-o',
    out.path('next.tar'),
    '--all',
    '--since',
    out.path('first.tar'),
    ...out.flags,
  );
  t.match(next, { code: 0, stdout: /it needs \d+ things .* of earlier bundles/ });

  const closed = await inside(t);
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: closed.registry } },
    directory: closed.data,
    offline: true,
  });
  const early = await run('import', out.path('next.tar'), '--dry-run', ...closed.flags);
  t.match(early, {
    code: 1,
    stdout: /says that it has:\n[\s\S]*team\/app:v1/,
    stderr: 'import the earlier bundle first',
  });
  const piped = await runWith({ input: gzipSync(first.stdout) }, 'import', '-', '--json', ...closed.flags);
  t.match(piped, { code: 0, stderr: '' });
  const events = piped.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(events.at(-1), { kind: 'report', from: 'standard input', images: 1 });
  await writeFile(out.path('next.tar.zst'), zstdCompressSync(await readFile(out.path('next.tar'))));
  t.match(await run('import', out.path('next.tar.zst'), '--no-pin', ...closed.flags), { code: 0 });
  const served = await mirror.manifest('/v2/team/app/manifests/v1');
  t.equal(served.headers['docker-content-digest'], index.manifest.digest);
  for (const { digest, body } of amd64.layers)
    t.ok((await mirror.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
});

t.test('a directory that is a layout, and another name', async (t) => {
  const out = await outside(t);
  await run('export', '-o', out.path('other.tar'), OTHER, ...out.flags);
  execFileSync('mkdir', [out.path('layout')]);
  execFileSync('tar', ['-xf', out.path('other.tar'), '-C', out.path('layout')]);
  const closed = await inside(t);
  const args = ['import', out.path('layout'), '--as', 'team/renamed:v9', '--no-pin'];
  t.match(await run(...args, ...closed.flags), { code: 0, stdout: 'docker.io/team/renamed:v9' });
  t.match((await run('images', '--pinned', ...closed.flags)).stdout, 'nothing is pinned');
  t.match(await run('import', 'a.tar', 'b.tar', '--as', 'x:1', ...closed.flags), {
    code: 2,
    stderr: 'one archive',
  });
  const gone = await run('import', out.path('gone.tar'), out.path('other.tar'), ...closed.flags);
  t.match(gone, { code: 1, stderr: /not read: .*other\.tar\nhubcap: .*gone\.tar cannot be read/ });
});

for (const isRunning of [true, false]) {
  t.test(`a wrong checksum: nothing is imported, ${isRunning ? 'with' : 'without'} a daemon`, async (t) => {
    const out = await outside(t);
    const bundle = out.path('images.tar');
    await run('export', '-o', bundle, '--all', ...out.flags);
    const closed = await inside(t);
    if (isRunning) {
      const upstreams = { 'registry.test': { at: closed.registry } };
      await startMirror(t, { upstreams, directory: closed.data, offline: true });
    }
    await writeFile(`${bundle}.sha256`, `${'0'.repeat(64)} *images.tar\n`);
    const { code, stderr } = await run('import', bundle, ...closed.flags);
    t.equal(code, 1);
    t.match(stderr, /images\.tar is not what .*images\.tar\.sha256 says .*Nothing was imported/);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
    t.match((await run('images', ...closed.flags)).stdout, 'no images yet');
    t.match(JSON.parse((await run('status', '--json', ...closed.flags)).stdout), { store: { bytes: 0 } });
    await writeFile(`${bundle}.sha256`, 'nonsense\n');
    t.match(await run('import', bundle, ...closed.flags), { code: 1, stderr: 'no line of sha256sum' });
  });
}

t.test('what is refused is refused with a message, before anything is written', async (t) => {
  const out = await outside(t);
  const bundle = out.path('images.tar');
  t.match(await run('export', '-o', bundle, ...out.flags), { code: 2, stderr: 'Say what to export' });
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
  await writeFile(out.path('cut.tar'), (await readFile(bundle)).subarray(0, 90_000));
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

t.test('pin, unpin and remove', async (t) => {
  const { flags, registry } = await outside(t);
  t.match(await run('remove', OTHER, ...flags), { code: 1, stderr: 'is pinned' });
  t.match(await run('unpin', OTHER, 'registry.test/team/nothing', ...flags), {
    code: 1,
    stderr: 'is not pinned',
  });
  t.match(await run('unpin', OTHER, ...flags), { code: 0, stdout: `${OTHER} is not pinned any more` });
  const again = await run('pin', OTHER, '--json', ...flags);
  t.match(JSON.parse(again.stdout), {
    pinned: [{ reference: OTHER, digest: other.manifest.digest, origin: '' }],
  });
  t.match(await run('pin', 'registry.test/team/nothing', ...flags), {
    code: 1,
    stderr: 'is not in the store',
  });
  t.match(await run('pin', APP, '--platform', 's390x', ...flags), { code: 1, stderr: 'linux/s390x' });
  t.match(await run('pin', 'Not A Name', ...flags), { code: 2, stderr: 'is no image name' });
  t.match(await run('unpin', APP, ...flags), { code: 0 });
  registry.push('team/copy', index, 'v1');
  t.match(await run('prewarm', 'registry.test/team/copy:v1', ...flags), { code: 0 });
  const dry = await run('remove', APP, '--dry-run', ...flags);
  t.match(dry, { code: 0, stdout: /WOULD FREE[\s\S]*would be freed; nothing was removed/ });
  t.match((await run('images', ...flags)).stdout, 'team/app:v1');
  t.match(await run('remove', APP, ...flags), { code: 0, stdout: /team\/app:v1 .*KiB\n[\s\S]* freed\n$/ });
  t.notMatch((await run('images', ...flags)).stdout, 'team/app:v1');
  t.match((await run('images', ...flags)).stdout, 'team/copy:v1');
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

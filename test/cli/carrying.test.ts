import { execFileSync } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { APP, amd64, index, inside, OTHER, outside } from '../helpers/air-gap.ts';
import { run, runForBytes, runWith } from '../helpers/command.ts';
import { startMirror } from '../helpers/mirror.ts';

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
  t.match(await run('import', 'a.tar', '--no-pinn', ...closed.flags), { code: 2, stderr: '--no-pinn' });
  t.match(await run('import', '-', '-', ...closed.flags), { code: 2, stderr: 'given once' });
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

import { writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import type { PrewarmEvent } from '../../src/airgap/commands.ts';
import { APP, arm64, index, makeSide, OTHER, pushImages, type Side } from '../helpers/air-gap.ts';
import { launch, run, runWith } from '../helpers/command.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, failing, only, outOfPulls, silent } from '../helpers/personas.ts';
import { makeGate, until } from '../helpers/waiting.ts';

async function start(t: Test): Promise<Side> {
  const side = await makeSide(t);
  pushImages(side.registry);
  return side;
}

function eventsOf(stdout: string): PrewarmEvent[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

t.test(
  'without a daemon: images are there, each thing was fetched once, and a second run fetches nothing',
  async (t) => {
    const { registry, flags } = await start(t);
    const first = await run('prewarm', APP, OTHER, '--platform', 'amd64,linux/arm64', ...flags);
    t.match(first, {
      code: 0,
      stdout: /^2 of 2 images are here\n.* fetched with 4 pulls, 0B here before\n$/,
    });
    t.match(first.stderr, `${APP} (linux/amd64, linux/arm64): `);
    for (const { url } of registry.asked.filter(blobDownloads)) t.equal(registry.count('GET', url), 1, url);
    const before = registry.count('GET');
    const second = await run('prewarm', APP, OTHER, '--platform', 'all', ...flags);
    t.match(second, { code: 0, stdout: '0B fetched with 0 pulls', stderr: 'nothing to fetch' });
    t.equal(registry.count('GET'), before);
    t.match((await run('images', ...flags)).stdout, /team\/app:v1 .* complete .*linux\/amd64, linux\/arm64/);
  },
);

t.test('by a running daemon, with pins, told in JSON', async (t) => {
  const { registry, flags, path } = await start(t);
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    directory: path('data'),
  });
  await writeFile(path('list.txt'), `# wanted\n${APP} linux/arm64\r\n`);
  const args = ['prewarm', '-f', path('list.txt'), OTHER, '--platform', 'linux/amd64', '--pin', '--json'];
  const { code, stdout, stderr } = await run(...args, ...flags);
  t.match({ code, stderr }, { code: 0, stderr: '' });
  const events = eventsOf(stdout);
  t.match(
    events.find((event) => event.kind === 'image' && event.reference === APP),
    { platforms: ['linux/arm64'], isPinned: true, digest: index.manifest.digest },
    'the platforms of a list win',
  );
  t.match(events.at(-1), { kind: 'report', images: { done: 2, failed: 0, total: 2 }, failures: [] });
  const before = registry.asked.length;
  const blob = await mirror.get(`/v2/team/app/blobs/${arm64.layers[0]?.digest}`);
  t.match(blob.headers, { 'cache-status': 'hubcap; hit' });
  t.equal(registry.asked.length, before);
  t.match(
    (await run('images', '--pinned', ...flags)).stdout,
    /team\/app:v1 .* linux\/arm64 .* complete +you/,
  );
});

t.test('what fails is listed with its reason, and the rest is kept', async (t) => {
  const { registry, flags } = await start(t);
  registry.act(only(({ path }) => path.includes('/broken/'), failing(503)));
  const { code, stdout, stderr } = await run(
    'prewarm',
    'registry.test/team/typo:v1',
    'registry.test/team/broken:v1',
    'nowhere.test/app',
    OTHER,
    ...flags,
  );
  t.equal(code, 1);
  t.match(stdout, '1 of 4 images are here, 3 failed');
  const listed = stderr.slice(stderr.indexOf('3 of 4 images failed'));
  t.match(listed, /team\/typo:v1: .*\n/);
  t.match(listed, /team\/broken:v1: .*\n/);
  t.match(listed, /nowhere\.test\/app:latest: nowhere\.test is no upstream|nowhere\.test is no upstream/);
  t.match(listed, 'the same command goes on with the rest');
  t.notMatch(stderr, /\n\s+at /, 'no stack');
  t.match((await run('images', ...flags)).stdout, 'team/other:latest');
});

t.test('a dry run fetches manifests alone, and says whether room suffices', async (t) => {
  const { registry, flags } = await start(t);
  const { code, stdout } = await run('prewarm', APP, OTHER, '--dry-run', '--platform', 'all', ...flags);
  t.equal(code, 0);
  t.match(stdout, /IMAGE +PLATFORMS +HERE +TO FETCH +PULLS\n/);
  t.match(stdout, /team\/app:v1 +linux\/amd64, linux\/arm64 .*KiB +3\n/);
  t.match(stdout, /pulls at registry\.test: 0 more are needed; no limit is known\nroom: .*: enough\n$/);
  t.equal(registry.asked.filter(blobDownloads).length, 0);
  const small = await makeSide(t, registry, 'storage: { maxSize: 100KiB, minFree: 0 }');
  const refused = await run('prewarm', APP, '--dry-run', '--platform', 'all', ...small.flags);
  t.match(refused, { code: 1, stdout: 'NOT ENOUGH', stderr: 'the store has no room for all of it' });
});

t.test(
  'lists that cannot be read end with 2, with all that is wrong, before anything is asked',
  async (t) => {
    const { registry, flags, path } = await start(t);
    await writeFile(path('bad.txt'), 'alpine\nNot An Image\nhttp://x/y\n');
    await writeFile(path('compose.yaml'), 'services:\n  a: { image: "$' + '{UNSET:?}/app" }\n');
    await writeFile(path('latin.txt'), Buffer.from([0x61, 0xe9, 0x0a]));
    const files = ['bad.txt', 'compose.yaml', 'latin.txt', 'gone.txt'].flatMap((name) => ['-f', path(name)]);
    const { code, stderr } = await run('prewarm', 'Bad Name', ...files, ...flags);
    t.equal(code, 2);
    for (const said of [
      '"Bad Name"',
      'bad.txt:2',
      'bad.txt:3',
      'compose.yaml:2',
      'latin.txt: no text',
      'gone.txt: cannot be read',
    ])
      t.match(stderr, said);
    t.notMatch(stderr, /\n\s+at /, 'no stack');
    t.match(await run('prewarm', ...flags), { code: 2, stderr: 'Name images' });
    t.match(await run('prewarm', 'alpine', '--platform', 'linux/', ...flags), {
      code: 2,
      stderr: 'is no platform',
    });
    t.match(await run('prewarm', 'alpine', '--concurrency', '99', ...flags), { code: 2 });
    t.equal(registry.asked.length, 0);
  },
);

t.test(
  'variables come from the environment, then from .env beside the file; - is standard input',
  async (t) => {
    const { registry, flags, path } = await start(t);
    registry.push('team/other', arm64, 'v2');
    await writeFile(path('.env'), 'APP=from-env-file\nTAG=latest\n');
    const compose = 'services:\n  a: { image: "registry.test/team/$APP:$TAG" }\n';
    await writeFile(path('compose.yaml'), compose);
    const env = { APP: 'other' };
    t.match(await runWith({ env }, 'prewarm', '-f', path('compose.yaml'), ...flags), {
      code: 0,
      stderr: OTHER,
    });
    const piped = { env: { APP: 'other', TAG: 'v2' }, input: Buffer.from(compose) };
    t.match(await runWith(piped, 'prewarm', '-f', '-', ...flags), {
      code: 0,
      stderr: 'registry.test/team/other:v2',
    });
    t.match(await runWith({ ...piped, env: {} }, 'prewarm', '-f', '-', ...flags), {
      code: 2,
      stderr: 'standard input',
    });
  },
);

t.test('a rate limit is waited for, and said until when; --no-wait makes it a failure', async (t) => {
  const { registry, flags } = await start(t);
  registry.act(only(({ path }) => path.includes('/manifests/'), outOfPulls({ 'retry-after': '3600' })));
  const impatient = await run('prewarm', OTHER, '--no-wait', ...flags);
  t.match(impatient, { code: 1, stderr: /1 of 1 image failed:\n.*team\/other:latest/ });
  const { child, ended } = launch(t, 'prewarm', OTHER, ...flags);
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  await until('it waits', () => /rate limit: waiting until .*\d\d:\d\d:\d\d/.test(said));
  child.kill('SIGTERM');
  t.match(await ended, { code: 143, stderr: 'interrupted' });
});

for (const isRunning of [true, false]) {
  t.test(
    `Ctrl-C ends it, and it goes on from there: ${isRunning ? 'with' : 'without'} a daemon`,
    async (t) => {
      const { registry, flags, path } = await start(t);
      if (isRunning)
        await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, directory: path('data') });
      const gate = makeGate();
      t.teardown(gate.open);
      const held = only(
        (asked) => blobDownloads(asked) && asked.path.includes('team/app'),
        silent(gate.opened),
      );
      registry.act(held);
      const { child, ended } = launch(t, 'prewarm', OTHER, APP, '--concurrency', '1', ...flags);
      await until('it fetches the second', () => registry.count('GET', 'team/app/blobs') > 0);
      child.kill('SIGINT');
      const { code, stderr } = await ended;
      t.equal(code, 130);
      t.match(stderr, 'interrupted: what was fetched is kept, and the same command goes on from there');
      gate.open();
      registry.act();
      const again = await run('prewarm', OTHER, APP, ...flags);
      t.match(again, { code: 0, stdout: '2 of 2 images are here' });
      t.equal(registry.count('GET', 'team/other/blobs'), 2, 'nothing of the first is fetched twice');
    },
  );
}

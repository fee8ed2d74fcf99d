/**
 * Kills the real process again and again at chosen stages and random moments, under clients that never rest.
 * `KILL_LOOP_KILLS` is how often, `KILL_LOOP_SEED` chooses the same moments and requests again; how the process
 * and the kernel take turns is new in every run.
 */
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { connectControl } from '../../src/admin/control-client.ts';
import { controlPaths } from '../../src/admin/control-path.ts';
import type { Status } from '../../src/admin/status.ts';
import { fetch } from '../helpers/client.ts';
import { begin, run, serve } from '../helpers/command.ts';
import { blobOf, type Image, imageOf, indexOf, KIB, MIB } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { inBlocks, leftoversIn, type OnDisk, readCatalog, readDisk } from '../helpers/on-disk.ts';
import { blobDownloads, only, paced } from '../helpers/personas.ts';
import { makeRandom, type Random, seedFrom } from '../helpers/random.ts';
import { contentOf, startRegistry } from '../helpers/registry.ts';
import {
  ask,
  askRestlessly,
  blobTarget,
  type Life,
  manifestTarget,
  type Tally,
  type Target,
} from '../helpers/restless-clients.ts';
import { type Stage, stages, watchStages } from '../helpers/stages.ts';
import { until } from '../helpers/waiting.ts';

const kills = Number(process.env.KILL_LOOP_KILLS || 50);
const CLIENTS = 6;
/** Two thirds of what there is: everything is evicted now and then. */
const MAX_BYTES = 12 * MIB;
const BYTES_PER_SECOND = 24 * MIB;

const repository = 'team/app';
const blobs = [1, 2, 3, 4].map((mebibytes) => blobOf(mebibytes * MIB + 100, `kill/${mebibytes}`));
const images: Image[] = [
  imageOf('kill/amd64', [700 * KIB, 40 * KIB, 2 * MIB + 1]),
  imageOf('kill/arm64', [300 * KIB, 64 * KIB, 3 * MIB]),
];
const [amd64, arm64] = images as [Image, Image];
const index = indexOf({ amd64, arm64 });

t.test(`killed ${kills} times, nothing is lost that was whole and nothing false is served`, async (t) => {
  t.setTimeout(60_000 + kills * 5_000);
  const random = makeRandom(seedFrom(process.env.KILL_LOOP_SEED));
  t.comment(`KILL_LOOP_SEED=${random.seed}`);
  const rig = await prepare(t, random);
  await liveAndEnd(t, rig);
  let slowestStartMs = 0;
  for (let kill = 0; kill < kills; kill++) {
    const moment = MOMENTS[kill % MOMENTS.length] ?? 'starting';
    slowestStartMs = Math.max(slowestStartMs, await liveAndDie(t, rig, moment));
    await judgeRemains(t, rig, moment);
  }
  await expectOrder(t, rig);
  t.ok(rig.tally.complete > kills, 'clients were served');
  const { complete, brokenOff } = rig.tally;
  t.comment(`${complete} answers complete and right, ${brokenOff} broken off by kills`);
  t.comment('found after kills', { ...rig.remains, resumed: rig.resumed(), mostExcess: rig.excess.most });
  t.comment(`slowest start: ${Math.round(slowestStartMs)} ms`);
});

/** In turns, so that each is met in every run. */
const MOMENTS = ['starting', ...stages, 'any'] as const;
type Moment = 'starting' | 'any' | Stage;

type Rig = Awaited<ReturnType<typeof prepare>>;

async function prepare(t: Test, random: Random) {
  const registry = await startRegistry(t);
  for (const blob of blobs) registry.push(repository, blob);
  registry.push(repository, index, 'latest');
  images.forEach((image, n) => {
    registry.push(repository, image, `tag-${n}`);
  });
  const watch = watchStages();
  registry.act(only(blobDownloads, watch.persona), only(blobDownloads, paced(BYTES_PER_SECOND)));
  const directory = await makeDirectory(t);
  const targets = [
    manifestTarget(repository, 'latest', index.manifest),
    ...images.map(({ manifest }, n) => manifestTarget(repository, `tag-${n}`, manifest)),
    ...images.map(({ manifest }) => manifestTarget(repository, manifest.digest, manifest)),
    ...blobs.map((blob) => blobTarget(repository, blob)),
    ...images.flatMap(({ config, layers }) =>
      [config, ...layers].map((blob) => blobTarget(repository, blob)),
    ),
  ] as [Target, ...Target[]];
  return {
    random,
    registry,
    watch,
    directory,
    targets,
    args: ['--upstream', registry.url, '--data', directory, '--max-size', `${MAX_BYTES}B`],
    env: { HUBCAP_MIN_FREE: '0B', HUBCAP_TAG_TTL: '0s', NODE_COMPILE_CACHE: await makeDirectory(t) },
    tally: { complete: 0, brokenOff: 0 } as Tally,
    /** bytes beyond the budget */
    excess: { allowed: 0, most: 0 },
    remains: { partials: 0, leftovers: 0, filesWithoutRow: 0, rowsWithoutFile: 0 },
    resumed: () => registry.asked.filter(({ headers }) => /^bytes=[1-9]/.test(headers.range ?? '')).length,
  };
}

/** An end in order writes node's compile cache: all later starts take half the time. */
async function liveAndEnd(t: Test, { args, env }: Rig): Promise<void> {
  const { child, exited } = await serve(t, args, env);
  child.kill('SIGTERM');
  await exited;
}

/** One process: started, used, killed at the moment. @returns how long it took to be ready */
async function liveAndDie(t: Test, rig: Rig, moment: Moment): Promise<number> {
  const { random, args, env, tally, targets, watch } = rig;
  const startedAt = performance.now();
  const serving = begin(t, args, env);
  const life: Life = { url: '', isOver: false };
  let clients: Promise<unknown> = Promise.resolve();
  let readyMs = 0;
  if (moment === 'starting') {
    await Promise.race([serving.ready, wait(random.between(100, 1000))]);
  } else {
    life.url = (await serving.ready).listen ?? '';
    readyMs = performance.now() - startedAt;
    const reached =
      moment === 'any' ? wait(random.between(0, 600)) : watch.reached(moment, random.between(1, 8));
    clients = Promise.all(
      Array.from({ length: CLIENTS }, () => askRestlessly(t, life, { targets, random, tally })),
    );
    const tired = new AbortController(); // everything may be cached: then no download comes to that stage
    await Promise.race([reached, wait(1500, undefined, { signal: tired.signal }).catch(() => undefined)]);
    tired.abort();
    await wait(random.between(0, 15));
  }
  life.isOver = true;
  serving.child.kill('SIGKILL');
  await Promise.all([serving.exited, clients]);
  return readyMs;
}

/** What a killed process leaves is never false and never too much; it may be unfinished, and that is counted. */
async function judgeRemains(t: Test, { directory, remains, excess }: Rig, moment: Moment): Promise<void> {
  const disk = await readDisk(directory);
  if (disk.wrong.length > 0) t.fail(`killed ${moment}: stored and wrong`, { wrong: disk.wrong });
  const over = Math.max(0, disk.bytes - MAX_BYTES);
  if (over > excess.allowed) {
    const [blobs, fills] = [[...disk.blobs.values()], [...disk.fills.values()]];
    t.fail(`killed ${moment}: more on disk than the budget`, { over, allowed: excess.allowed, blobs, fills });
  }
  const rows = await readCatalog(directory);
  const unnoted = [...disk.blobs].filter(([digest]) => !rows.has(digest));
  // A file that was moved to its place and not noted any more counts once the next process has found it. Until
  // then there may be as much more; what is too much goes when room is needed.
  excess.allowed = over + unnoted.reduce((sum, [, size]) => sum + inBlocks(size), 0);
  excess.most = Math.max(excess.most, over);
  remains.partials += disk.fills.size - leftoversIn(disk).length;
  remains.leftovers += leftoversIn(disk).length;
  remains.filesWithoutRow += unnoted.length;
  remains.rowsWithoutFile += [...rows.keys()].filter((digest) => !disk.blobs.has(digest)).length;
}

/** After the last kill everything is in order again, whoever looks at it. */
async function expectOrder(t: Test, rig: Rig): Promise<void> {
  const { directory, args, env, targets, tally } = rig;
  const { child, ready, exited, output } = await serve(t, args, env);
  const life: Life = { url: ready.listen ?? '', isOver: false };
  // Manifests last: they are the smallest, and what is used last stays.
  for (const target of targets.toReversed()) await ask(t, life, target, tally);
  await until('the ledger is what is on disk', async () => {
    const { store, fills } = await statusOf(ready.admin);
    if (fills.length > 0) return false;
    const { bytes, blobs: stored } = await readDisk(directory);
    return store.bytes === bytes && store.objects === stored.size && store.reservedBytes === 0;
  });
  const disk = await readDisk(directory);
  t.same(disk.wrong, [], 'what is stored is what its name says');
  t.same(leftoversIn(disk), [], 'nothing is left over of downloads');
  t.ok(disk.bytes <= MAX_BYTES, 'the budget is kept');
  await expectHonestImages(t, directory, disk);
  await expectVerified(t, directory, 'by the process that serves');

  child.kill('SIGTERM');
  const [code] = (await exited) as [number | null];
  t.equal(code, 0, 'it ends in order');
  t.notMatch(output(), /"level":"error"/, 'without an error');
  t.same(sorted(await readCatalog(directory)), sorted(disk.blobs), 'the catalog is what is on disk');
  const listed = await run('images', '--data', directory, '--json');
  t.equal(listed.code, 0, listed.stderr);
  await expectVerified(t, directory, 'where nobody serves');
  await expectOfflineService(t, rig, disk);
}

async function expectVerified(t: Test, directory: string, how: string): Promise<void> {
  const { code, stdout, stderr } = await run('verify', '--data', directory, '--json');
  t.equal(code, 0, `nothing is damaged, missing or unknown: ${how}`, { stdout, stderr });
}

async function expectHonestImages(t: Test, directory: string, { blobs: stored }: OnDisk): Promise<void> {
  const control = await connectControl(controlPaths(directory, undefined));
  if (!control) throw new Error('nobody answers at the control socket');
  let listed = 0;
  for await (const { platforms } of control.images()) {
    for (const platform of platforms) {
      const image = images.find(({ manifest }) => manifest.digest === platform.digest);
      const parts = image ? contentOf(image) : [];
      const here = parts.filter(({ digest }) => stored.has(digest));
      t.equal(
        platform.storedBytes,
        here.reduce((sum, { body }) => sum + body.length, 0),
        'bytes of an image',
      );
      t.equal(platform.isComplete, here.length === parts.length, 'whether it is complete');
      listed += 1;
    }
  }
  t.ok(listed > 0, 'images are listed');
}

/** Everything was asked for by its repository a moment ago: what is stored is served without upstream. */
async function expectOfflineService(
  t: Test,
  { args, env, targets }: Rig,
  { blobs: stored }: OnDisk,
): Promise<void> {
  const { ready } = await serve(t, [...args, '--offline'], env);
  const isStored = ({ path }: Target): boolean => stored.has(path.slice(path.lastIndexOf('/') + 1));
  const life: Life = { url: ready.listen ?? '', isOver: false };
  for (const target of targets.filter(isStored)) await ask(t, life, target, { complete: 0, brokenOff: 0 });
}

async function statusOf(admin = ''): Promise<Status> {
  return JSON.parse((await fetch(`${admin}/api/status`)).body.toString()) as Status;
}

function sorted(sizes: ReadonlyMap<string, number>): [string, number][] {
  return [...sizes].sort(([a], [b]) => (a < b ? -1 : 1));
}

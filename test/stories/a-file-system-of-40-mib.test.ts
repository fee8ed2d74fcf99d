/** The real process on a real file system that is too small: ENOSPC comes from the kernel. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { Status } from '../../src/admin/status.ts';
import { fetch } from '../helpers/client.ts';
import { serve } from '../helpers/command.ts';
import { blobOf, type Content, imageOf, MIB } from '../helpers/content.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { leftoversIn, readDisk } from '../helpers/on-disk.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { fillUp, freeBytes, hog, mountSmall } from '../helpers/small-disk.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const DISK_MIB = 40;
const blobs = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => blobOf(8 * MIB, `small disk/${n}`));
const [first, second, third] = blobs as [Content, Content, Content];
const image = imageOf('small disk', [MIB]);

t.test('many at once that do not fit together: everybody gets everything', async (t) => {
  const rig = await prepare(t);
  if (!rig) return;
  const { directory, start } = rig;
  // The budget promises more than there is.
  const hubcap = await start({ maxSize: '1GiB' });
  await Promise.all([...blobs, ...blobs].map(hubcap.expectRight));
  await hubcap.settled();
  for (const blob of blobs) await hubcap.expectRight(blob);
  await hubcap.settled();
  const disk = await readDisk(directory);
  const { store } = await hubcap.status();
  t.same(disk.wrong, []);
  t.same(leftoversIn(disk), []);
  t.ok(disk.blobs.size >= 2, 'what fits is kept');
  t.equal(store.bytes, disk.bytes, 'the ledger is what is on disk');
  t.equal(store.reservedBytes, 0);
});

t.test('budget and minFree are kept at any moment', async (t) => {
  const rig = await prepare(t);
  if (!rig) return;
  const { directory, start } = rig;
  for (const [maxSize, minFreeMib] of [
    ['20MiB', 0],
    ['1GiB', 16],
  ] as const) {
    const hubcap = await start({ maxSize, env: { HUBCAP_MIN_FREE: `${minFreeMib}MiB` } });
    let isOver = false;
    let least = Number.POSITIVE_INFINITY;
    const watching = (async () => {
      for (; !isOver; await nextTurn()) least = Math.min(least, await freeBytes(directory));
    })();
    await Promise.all([...blobs, ...blobs].map(hubcap.expectRight));
    for (const blob of blobs) await hubcap.expectRight(blob);
    await hubcap.settled();
    isOver = true;
    await watching;
    const wanted = maxSize === '20MiB' ? DISK_MIB - 20 : minFreeMib;
    // The catalog's write-ahead log is not the store's.
    t.ok(least >= (wanted - 2) * MIB, `${maxSize}: at least ${wanted} MiB were free, but for the catalog`, {
      least,
    });
    await hubcap.end('SIGTERM');
  }
});

t.test('somebody else fills the disk, and empties it again', async (t) => {
  const rig = await prepare(t);
  if (!rig) return;
  const { registry, directory, start } = rig;
  const hubcap = await start({ maxSize: '1GiB' });
  await hubcap.expectRight(third);
  await hubcap.settled();
  t.equal(await hubcap.ready(), 200);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(2 * MIB, gate.opened)));
  const pulls = [first, second, first, second].map(hubcap.expectRight);
  await until('both downloads are in the middle', async () => (await hubcap.fillBytes()) >= 2 * 2 * MIB);
  const giveBack = await hog(t, directory);
  registry.act();
  gate.open();
  await Promise.all(pulls);
  await Promise.all(blobs.map(hubcap.expectRight));
  const isTold = async (): Promise<boolean> => (await hubcap.metric('hubcap_storage_errors_total')) > 0;
  await until('the metric says that the disk refused', isTold);
  await Promise.all(blobs.map(hubcap.expectRight));
  await hubcap.expectManifest();

  await giveBack();
  await until('the disk is found to work again', async () => (await hubcap.ready()) === 200);
  t.equal(await hubcap.metric('hubcap_store_writable'), 1);
  await hubcap.settled();
  await hubcap.expectRight(first);
  await hubcap.settled();
  t.equal(await hubcap.expectRight(first), 'hubcap; hit', 'caching has resumed by itself');
  // What the catalog could not note on the full disk is noted by and by.
  const isTrue = async (): Promise<boolean> =>
    (await hubcap.status()).store.bytes === (await readDisk(directory)).bytes;
  await until('the ledger is what is on disk', isTrue);
  t.same((await readDisk(directory)).wrong, []);
});

// What a failed download gives back makes room for a moment: a probe then finds that the disk works. From there on
// nothing is written because nothing fits, and nothing that is not written is refused.
t.test('a disk without any room is not ready', async (t) => {
  const rig = await prepare(t);
  if (!rig) return;
  const { directory, start } = rig;
  const hubcap = await start({ maxSize: '1GiB' });
  await hog(t, directory);
  await hubcap.expectRight(first);
  t.equal(await hubcap.ready(), 503);
  t.equal(await hubcap.metric('hubcap_store_writable'), 0);
});

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  // An orderly end removes the write-ahead log, and without room the catalog cannot be opened with a new one.
  t.test(`started again on a full disk after ${signal}, it serves`, async (t) => {
    const rig = await prepare(t);
    if (!rig) return;
    const { directory, start } = rig;
    const before = await start({ maxSize: '1GiB' });
    await before.expectRight(first);
    await before.expectManifest();
    await before.settled();
    await before.end(signal);
    const giveBack = await fillUp(directory);

    const hubcap = await start({ maxSize: '1GiB' });
    t.equal(await hubcap.expectRight(first), 'hubcap; hit', 'what is stored');
    await Promise.all([second, second, third].map(hubcap.expectRight));
    await hubcap.expectManifest();
    await giveBack();
    await until('the disk is found to work', async () => (await hubcap.ready()) === 200);
    await hubcap.settled();
    await hubcap.expectRight(second);
    await hubcap.settled();
    t.equal(await hubcap.expectRight(second), 'hubcap; hit', 'caching has resumed by itself');
  });
}

interface StartOptions {
  maxSize: string;
  env?: Record<string, string>;
}

/** @returns undefined where the machine cannot do it */
async function prepare(t: Test) {
  if (!needs(t, 'root', 'mount', 'umount')) return undefined;
  const registry = await startRegistry(t);
  for (const blob of blobs) registry.push('team/app', blob);
  registry.push('team/app', image, 'latest');
  const directory = await mountSmall(t, DISK_MIB);
  const cache = await makeDirectory(t); // of node's, for fast starts; not on the small disk
  return {
    registry,
    directory,
    start: ({ maxSize, env }: StartOptions) =>
      startHubcap(t, registry, directory, { NODE_COMPILE_CACHE: cache, ...env }, maxSize),
  };
}

async function startHubcap(
  t: Test,
  registry: Registry,
  directory: string,
  env: Record<string, string>,
  maxSize: string,
) {
  const args = ['--upstream', registry.url, '--data', directory, '--max-size', maxSize];
  const { child, ready, exited } = await serve(t, args, { HUBCAP_MIN_FREE: '0B', ...env });
  const { listen = '', admin = '' } = ready;
  const status = async (): Promise<Status> =>
    JSON.parse((await fetch(`${admin}/api/status`)).body.toString()) as Status;
  return {
    status,
    ready: async () => (await fetch(`${admin}/readyz`)).status,
    fillBytes: async () => (await status()).fills.reduce((sum, { bytes }) => sum + bytes, 0),
    settled: () => until('no fill runs', async () => (await status()).fills.length === 0),
    metric: async (name: string): Promise<number> => {
      const page = (await fetch(`${admin}/metrics`)).body.toString();
      return Number(new RegExp(`^${name} (.+)$`, 'm').exec(page)?.[1]);
    },
    /** @returns Cache-Status */
    expectRight: async ({ digest, body }: Content) => {
      const received = await fetch(`${listen}/v2/team/app/blobs/${digest}`);
      const isRight = received.status === 200 && received.isComplete && received.body.equals(body);
      t.ok(isRight, 'complete and right', { status: received.status, bytes: received.body.length });
      return received.headers['cache-status'];
    },
    expectManifest: async () => {
      const received = await fetch(`${listen}/v2/team/app/manifests/latest`);
      t.ok(received.status === 200 && received.body.equals(image.manifest.body), 'the manifest');
    },
    end: async (signal: NodeJS.Signals) => {
      child.kill(signal);
      await exited;
    },
  };
}

import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Digest } from '../../src/oci/digest.ts';
import { type DataDirectory, openDataDirectory } from '../../src/store/data-directory.ts';
import { Layout } from '../../src/store/layout.ts';
import { assertDiskIsTrue, leftoversOf } from '../helpers/disk-truth.ts';
import { placeInMemory } from '../helpers/memory-place.ts';
import {
  type Image,
  imagesOf,
  type Moment,
  recordDurability,
  restoreImage,
  signatureOf,
} from '../helpers/power-loss.ts';
import { MIB, writeDown } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const KIB = 1024;
const origin = { upstream: 'docker.io', repository: 'library/alpine' };
const sources = {
  manifest: new Source(bytesOf(2 * KIB, 1)),
  layer: new Source(bytesOf(2 * MIB, 2)),
  broken: new Source(bytesOf(3 * MIB, 3)),
  last: new Source(bytesOf(2 * MIB + 1, 4)),
};

async function openAt(t: Test, directory: string, maxBytes = 64 * MIB): Promise<DataDirectory> {
  const opened = await openDataDirectory({
    directory,
    maxBytes,
    minFreeBytes: 0,
    observer: writeDown([]),
    now: Date.now,
  });
  t.teardown(() => {
    try {
      opened.close();
    } catch {
      // it was closed already
    }
  });
  return opened;
}

function request(source: Source) {
  return { digest: source.digest, origin, open: source.open, isAboutRepository: () => true };
}

async function fill({ fills }: DataDirectory, source: Source): Promise<string> {
  const start = await fills.begin(request(source));
  return start.kind === 'fill' ? await start.ended : start.kind;
}

/** A moment, and what hubcap had said to be stored by then. */
interface Kept extends Moment {
  stored: Digest[];
}

/** Does `work` and tells all moments of it. */
async function momentsOf(
  t: Test,
  work: (opened: DataDirectory, said: (digest: Digest) => void) => Promise<void>,
  maxBytes?: number,
): Promise<Kept[]> {
  const directory = t.testdir();
  const opened = await openAt(t, directory, maxBytes);
  const layout = new Layout(directory);
  const recorder = recordDurability(directory);
  const said: { digest: Digest; from: number }[] = [];
  try {
    await work(opened, (digest) => said.push({ digest, from: recorder.moments.length }));
    recorder.mark('when all was done');
  } finally {
    recorder.end();
  }
  const isLive = (moment: Moment, digest: Digest): boolean =>
    moment.live.has(layout.blob(digest).slice(directory.length + 1));
  return recorder.moments.map((moment, number) => ({
    ...moment,
    stored: said
      .filter(({ digest, from }) => from <= number && isLive(moment, digest))
      .map(({ digest }) => digest),
  }));
}

/** Loses power at each moment, in every way, and sees what the next start makes of it. */
async function losePower(t: Test, moments: readonly Kept[], contents: readonly Source[]): Promise<void> {
  const seen = new Set<string>();
  const base = mkdtempSync(join(placeInMemory(), 'hubcap-power-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  for (const moment of moments)
    for (const image of imagesOf(moment)) {
      const key = signatureOf(image) + moment.stored.join();
      if (seen.has(key)) continue;
      seen.add(key);
      const directory = join(base, String(seen.size));
      try {
        await startOn(t, image, directory, { stored: moment.stored, contents });
      } catch (error) {
        t.fail(image.name, { error });
      }
      rmSync(directory, { recursive: true, force: true });
    }
  t.ok(seen.size > moments.length / 2, `${seen.size} ways to lose power`);
}

async function startOn(
  t: Test,
  image: Image,
  directory: string,
  { stored, contents }: { stored: Digest[]; contents: readonly Source[] },
): Promise<void> {
  restoreImage(image, directory);
  const opened = await openAt(t, directory);
  await opened.reconcile(new AbortController().signal);
  await checkBooks(opened, directory);
  const { blobs } = await assertDiskIsTrue(directory);
  const lost = stored.filter((digest) => !blobs.has(digest));
  if (lost.length > 0) throw new Error(`what was said to be stored is lost: ${lost.join(' ')}`);
  for (const { content } of contents) await serve(opened, new Source(content, { chunkBytes: 256 * KIB }));
  await checkBooks(opened, directory);
  opened.close();
}

async function serve(opened: DataDirectory, source: Source): Promise<void> {
  const reader = await opened.store.open(source.digest);
  if (reader) {
    if (!(await readToEnd(reader)).equals(source.content)) throw new Error('what is stored is false');
    return;
  }
  const start = await opened.fills.begin(request(source));
  if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
  const got: Buffer[] = [];
  const whole = await readToEnd(start.fill.reader(), { got }).catch((error: unknown) => error);
  const shown = Buffer.concat(got);
  if (!shown.equals(source.content.subarray(0, shown.length)))
    throw new Error(`what was not synced was shown, of a partial file of ${source.asked[0]} bytes`);
  if (!(whole instanceof Buffer)) throw new Error('a fill did not go on', { cause: whole });
  const result = await start.ended;
  if (result !== 'stored') throw new Error(`a fill was ${result}`);
}

async function checkBooks({ store }: DataDirectory, directory: string): Promise<void> {
  const disk = await assertDiskIsTrue(directory);
  const { usedBytes, reservedBytes, deletingBytes } = store.ledger;
  const said = [usedBytes, reservedBytes, deletingBytes, store.objects].join();
  const found = [disk.bytesOnDisk, 0, 0, disk.blobs.size].join();
  if (said !== found) throw new Error(`the books say ${said}, on disk is ${found}`);
  if (leftoversOf(disk).length > 0) throw new Error(`leftovers: ${leftoversOf(disk).join(' ')}`);
}

t.test('power lost while a manifest is stored', async (t) => {
  const { digest, content } = sources.manifest;
  const moments = await momentsOf(t, async ({ store }, said) => {
    await store.put(digest, content);
    said(digest);
  });
  await losePower(t, moments, [sources.manifest]);
});

t.test('power lost while a fill runs and is stored', async (t) => {
  const moments = await momentsOf(t, async (opened, said) => {
    await fill(opened, new Source(sources.layer.content, { chunkBytes: 512 * KIB }));
    said(sources.layer.digest);
    await opened.store.put(sources.manifest.digest, sources.manifest.content);
    said(sources.manifest.digest);
  });
  await losePower(t, moments, [sources.manifest, sources.layer]);
});

t.test('power lost while a partial file is kept, and while it is gone on with', async (t) => {
  const { content, digest } = sources.broken;
  const options = { allowed: 2 * MIB, failure: new Error('reset'), chunkBytes: 512 * KIB };
  const moments = await momentsOf(t, async (opened, said) => {
    await fill(opened, new Source(content, options));
    await fill(opened, new Source(content, { chunkBytes: 512 * KIB }));
    said(digest);
  });
  await losePower(t, moments, [sources.broken]);
});

t.test('power lost while content makes room for other content', async (t) => {
  const moments = await momentsOf(
    t,
    async (opened, said) => {
      await opened.store.put(sources.manifest.digest, sources.manifest.content);
      said(sources.manifest.digest);
      for (const { content, digest } of [sources.layer, sources.last]) {
        await fill(opened, new Source(content, { chunkBytes: MIB }));
        said(digest);
      }
    },
    3 * MIB,
  );
  await losePower(t, moments, [sources.manifest, sources.layer, sources.last]);
});

t.test('power lost in a long fill: what was synced is gone on with, and no more', async (t) => {
  // What waits for the disk when the connection breaks is given up: twelve MiB at most.
  const source = new Source(bytesOf(56 * MIB, 5), {
    allowed: 52 * MIB,
    failure: new Error('reset'),
    chunkBytes: 4 * MIB,
  });
  const partial = new Layout('').partial(source.digest);
  const moments = await momentsOf(t, async (opened) => void (await fill(opened, source)));
  const found: number[] = [];
  const base = mkdtempSync(join(placeInMemory(), 'hubcap-power-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  for (const image of moments.slice(-1).flatMap(imagesOf)) {
    const directory = join(base, String(found.length));
    restoreImage(image, directory);
    const opened = await openAt(t, directory);
    const again = new Source(source.content, { chunkBytes: 4 * MIB });
    await serve(opened, again);
    const durable = image.name.includes('zeros') ? 52 * MIB : (image.files.get(partial)?.length ?? 0);
    const [from = 0] = again.asked;
    t.ok(from <= durable, `${image.name}: from ${from}, of ${durable}`);
    found.push(from);
    opened.close();
  }
  t.ok(Math.max(...found) >= 32 * MIB, 'most of it need not be fetched again');
});

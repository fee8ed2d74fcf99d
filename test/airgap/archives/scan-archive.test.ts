import { appendFile, mkdir, open, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { packLayout } from '../../../src/airgap/archives/pack-layout.ts';
import { readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { readImages } from '../../../src/airgap/archives/read-images.ts';
import { knownDigests, scanArchive } from '../../../src/airgap/archives/scan-archive.ts';
import { planBundle, writeBundle } from '../../../src/airgap/archives/write-bundle.ts';
import { collect, inPieces, MemoryContent } from './memory-content.ts';
import { rawTar } from './raw-tar.ts';
import { singleImage } from './sample-images.ts';

const LIMITS = { maxBytes: 1e8, maxEntries: 1000 };

async function sample() {
  const content = new MemoryContent();
  const first = singleImage(content, 'a/b:1', { layers: ['base', 'one'] });
  const second = singleImage(content, 'a/b:2', { layers: ['base', 'two'] });
  const since = new Set(first.contents.map(({ digest }) => digest));
  const plan = await planBundle([second], since, content);
  return { content, first, second, plan, bytes: await collect(writeBundle(plan, content)) };
}

t.test(
  'a scan tells what a bundle carries and needs, of a file or a stream, compressed or not',
  async (t) => {
    const { second, plan, bytes } = await sample();
    const directory = t.testdir();
    for (const [kind, body] of Object.entries({
      tar: bytes,
      gz: gzipSync(bytes),
      zst: zstdCompressSync(bytes),
    })) {
      const path = join(directory, `bundle.${kind}`);
      await writeFile(path, body);
      for (const from of [path, inPieces(body)]) {
        const scan = await scanArchive(from, LIMITS);
        t.same(scan.bundle, plan.index);
        t.same(
          [...scan.carried],
          plan.contents.map(({ digest, size }) => [digest, size]),
        );
        t.same(scan.requires, plan.index.requires);
        t.equal(scan.contentBytes, plan.index.totalBytes);
        t.same([...knownDigests([scan])].sort(), second.contents.map(({ digest }) => digest).sort());
      }
    }
  },
);

t.test('content of a plain file is not read', async (t) => {
  const path = join(t.testdir(), 'large.tar');
  const head = rawTar({ path: `blobs/sha256/${'a'.repeat(64)}`, size: '77777777777\0' }).subarray(0, 512);
  const file = await open(path, 'w');
  await file.write(head);
  // 8 GiB that take no room on the disk, and would take seconds to read
  await file.truncate(512 + 8 * 2 ** 30 + 1024);
  await file.close();
  const scan = await scanArchive(path, LIMITS);
  t.equal(scan.contentBytes, 8 * 2 ** 30 - 1);
  await truncate(path, 2 ** 30);
  await t.rejects(scanArchive(path, LIMITS), /the archive ends in the middle of it/);
});

t.test('archives of others are scanned too', async (t) => {
  const archive = rawTar({ path: 'a.tar', body: 'x'.repeat(700) }, { path: 'manifest.json', body: '[]' });
  const scan = await scanArchive(inPieces(archive), LIMITS);
  t.same(scan, { bundle: undefined, carried: new Map(), requires: [], contentBytes: 700 });
});

t.test('what is no archive is refused', async (t) => {
  const path = join(t.testdir({ page: '<html>' }), 'page');
  await t.rejects(scanArchive(path, LIMITS), /cut off/);
  await t.rejects(scanArchive(join(path, 'none'), LIMITS), { code: 'ENOTDIR' });
});

/** Unpacks a bundle, as `tar -x` would. */
async function unpack(bytes: Buffer, directory: string): Promise<void> {
  for await (const entry of readArchive(inPieces(bytes), LIMITS)) {
    if (entry.kind !== 'file') continue;
    await mkdir(join(directory, entry.path, '..'), { recursive: true });
    await writeFile(join(directory, entry.path), entry.body);
  }
}

t.test('a directory is read as the archive that it was', async (t) => {
  const { content, first } = await sample();
  const bytes = await collect(writeBundle(await planBundle([first], new Set(), content), content));
  const directory = t.testdir();
  await unpack(bytes, directory);
  const entries: string[] = [];
  for await (const { path } of readArchive(packLayout(directory), LIMITS)) entries.push(path);
  t.equal(entries[0], 'hubcap.json');
  const { images } = await readImages(readArchive(packLayout(directory), LIMITS), new MemoryContent());
  t.same(images, [first]);
});

t.test('a directory with links, or with something else, is refused', async (t) => {
  const outside = t.testdir({
    secret: 'of the machine',
    in: {},
    below: { blobs: {} },
    deep: { a: { b: { c: { d: { e: '' } } } } },
  });
  await symlink('../secret', join(outside, 'in', 'index.json'));
  await t.rejects(collect(packLayout(join(outside, 'in'))), { name: 'ArchiveError', entry: 'index.json' });
  await symlink('/etc', join(outside, 'below', 'blobs', 'sha256'));
  await t.rejects(collect(packLayout(join(outside, 'below'))), {
    name: 'ArchiveError',
    entry: 'blobs/sha256',
  });
  await t.rejects(collect(packLayout(join(outside, 'deep'))), /is deeper than an OCI layout/);
  await t.rejects(collect(packLayout(join(outside, 'none'))), { code: 'ENOENT' });
});

t.test('a file that changes while it is read is an error', async (t) => {
  for (const change of [
    (path: string) => appendFile(path, 'more'),
    (path: string) => truncate(path, 300_000),
  ]) {
    const directory = t.testdir({ 'index.json': '' });
    const path = join(directory, 'index.json');
    await writeFile(path, Buffer.alloc(400_000));
    const packed = packLayout(directory);
    await packed.next(); // its header, with the size that it had
    await change(path);
    await t.rejects(collect(packed), /^index.json: has changed while it was read/);
  }
});

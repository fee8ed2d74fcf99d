/** Whatever happens to an archive: it gives the same images, or none, and never content that is something else. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { ArchiveError } from '../../../src/airgap/archives/archive-error.ts';
import { readArchive } from '../../../src/airgap/archives/read-archive.ts';
import { readImages } from '../../../src/airgap/archives/read-images.ts';
import { planBundle, writeBundle } from '../../../src/airgap/archives/write-bundle.ts';
import { algorithmOf, digestOf } from '../../../src/oci/digest.ts';
import { collect, inPieces, MemoryContent } from './memory-content.ts';
import { rawTar } from './raw-tar.ts';
import { configOf, indexImage, singleImage, tarOf } from './sample-images.ts';

const LIMITS = { maxBytes: 10_000_000, maxEntries: 100 };

async function bundle(): Promise<Buffer> {
  const content = new MemoryContent();
  const images = [
    indexImage(content, 'a/b:1', {
      layers: ['x'],
      architectures: ['amd64', 'arm64'],
      carried: ['amd64', 'arm64'],
    }),
    singleImage(content, 'a/b:2', { layers: ['x', 'y'] }),
  ];
  return collect(writeBundle(await planBundle(images, new Set(), content), content));
}

function dockerArchive(): Buffer {
  const layer = tarOf({ file: 'content' });
  return rawTar(
    { path: 'id/layer.tar', body: layer },
    { path: 'other/layer.tar', type: '2', link: '../id/layer.tar' },
    { path: 'config.json', body: configOf([layer, layer]) },
    {
      path: 'manifest.json',
      body: JSON.stringify([
        { Config: 'config.json', RepoTags: ['a/b:1'], Layers: ['id/layer.tar', 'other/layer.tar'] },
      ]),
    },
  );
}

/** @returns what the archive gives, or why it gives nothing */
async function outcomeOf(bytes: Buffer, pieces: number) {
  const sink = new MemoryContent();
  const outcome = await readImages(readArchive(inPieces(bytes, pieces), LIMITS), sink).then(
    ({ images }) => ({ images, error: undefined }),
    (error: unknown) => ({ images: undefined, error }),
  );
  for (const [digest, content] of sink.kept)
    if (digestOf(content, algorithmOf(digest)) !== digest) throw new Error(`${digest} is something else`);
  return outcome;
}

const plain = await bundle();
const docker = dockerArchive();
const archives = {
  plain,
  gzip: gzipSync(plain),
  zstd: zstdCompressSync(plain),
  docker,
  dockerGzip: gzipSync(docker),
};

for (const [kind, bytes] of Object.entries(archives)) {
  t.test(`${kind}, cut off anywhere, is refused`, async (t) => {
    const lengths = fc.integer({ min: 0, max: bytes.length - 1 });
    await fc.assert(
      fc.asyncProperty(lengths, fc.integer({ min: 1, max: 5000 }), async (length, pieces) => {
        const { error } = await outcomeOf(bytes.subarray(0, length), pieces);
        return error instanceof ArchiveError;
      }),
      { numRuns: 150 },
    );
    t.pass('it was');
  });

  t.test(`${kind}, damaged anywhere, is refused or gives what it gave`, async (t) => {
    const { images } = await outcomeOf(bytes, 5000);
    if (!images) return t.fail('undamaged it is taken');
    // Names stand in documents that nothing proves; what is proven is content. An old archive has no digest of its
    // configuration, if that is not called by it.
    const digests = new Set(images.flatMap(({ contents }) => contents.map(({ digest }) => digest)));
    let refused = 0;
    const damage = fc.record({
      at: fc.integer({ min: 0, max: bytes.length - 1 }),
      mask: fc.integer({ min: 1, max: 255 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (damages) => {
        const damaged = Buffer.from(bytes);
        for (const { at, mask } of damages) damaged.writeUInt8(damaged.readUInt8(at) ^ mask, at);
        const { images: found, error } = await outcomeOf(damaged, 5000);
        if (error !== undefined) refused += 1;
        if (error !== undefined) return error instanceof ArchiveError;
        return (
          kind.startsWith('docker') ||
          found?.every(({ contents }) => contents.every(({ digest }) => digests.has(digest)))
        );
      }),
      { numRuns: 250 },
    );
    t.ok(refused > 50, `${refused} were refused`);
  });
}

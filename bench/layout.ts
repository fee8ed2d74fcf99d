/** Owns the images that bundles are measured with: OCI image layouts on disk, the same bytes in every run. */
import { createCipheriv, createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const CHUNK_BYTES = 1024 * 1024;
const manifestType = 'application/vnd.oci.image.manifest.v1+json';

interface Descriptor {
  digest: string;
  size: number;
}

/**
 * Writes a layout with one image.
 * @param seeds one layer for each: the same seed gives the same layer
 */
export async function writeLayout(
  directory: string,
  name: string,
  seeds: readonly string[],
  layerBytes: number,
): Promise<void> {
  await mkdir(join(directory, 'blobs/sha256'), { recursive: true });
  const layers: Descriptor[] = [];
  for (const seed of seeds) layers.push(await writeBlob(directory, randomBytes(seed, layerBytes)));
  const diffIds = layers.map(({ digest }) => digest);
  const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } };
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      ...(await writeBlob(directory, document(config))),
    },
    layers: layers.map((layer) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer })),
  };
  const root = await writeBlob(directory, document(manifest));
  const annotations = { 'io.containerd.image.name': name };
  const index = { schemaVersion: 2, manifests: [{ mediaType: manifestType, ...root, annotations }] };
  await writeFile(join(directory, 'index.json'), JSON.stringify(index));
  await writeFile(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** Bytes that look random and depend on `seed` alone. */
function* randomBytes(seed: string, bytes: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  for (let left = bytes; left > 0; left -= CHUNK_BYTES)
    yield cipher.update(Buffer.alloc(Math.min(left, CHUNK_BYTES)));
}

function* document(value: unknown): Generator<Buffer> {
  yield Buffer.from(JSON.stringify(value));
}

async function writeBlob(directory: string, content: Iterable<Buffer>): Promise<Descriptor> {
  const hash = createHash('sha256');
  let size = 0;
  const temporary = join(directory, 'blob');
  const counted = function* (): Generator<Buffer> {
    for (const chunk of content) {
      hash.update(chunk);
      size += chunk.length;
      yield chunk;
    }
  };
  await pipeline(Readable.from(counted()), createWriteStream(temporary));
  const hex = hash.digest('hex');
  await rename(temporary, join(directory, 'blobs/sha256', hex));
  return { digest: `sha256:${hex}`, size };
}

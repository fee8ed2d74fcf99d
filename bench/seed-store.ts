/** Owns the making of a data directory as a mirror of many small images leaves it, without a mirror. */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Digest, digestOf } from '../src/oci/digest.ts';
import { openCatalogFile } from '../src/store/catalog-schema.ts';
import { Layout } from '../src/store/layout.ts';

export interface Seeds {
  images: number;
  /** of each image; an image is these, a configuration and a manifest */
  layers: number;
}

/** One of the blobs that were stored. */
export interface Stored {
  repository: string;
  digest: Digest;
  content: Buffer;
}

export const UPSTREAM = 'docker.io';
const IMAGES_PER_REPOSITORY = 10;
/** What is written between two looks at signals and timers. */
const BATCH_IMAGES = 100;
const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

/**
 * Fills a directory: files with the right digests, and all the rows that pulls would have left, in one
 * transaction. Nothing is synced.
 * @returns a layer of the image in the middle
 */
export async function seedStore(directory: string, { images, layers }: Seeds): Promise<Stored> {
  const layout = new Layout(directory);
  await layout.create();
  makeShards(layout);
  const { database } = openCatalogFile(layout.catalog);
  const write = { layout, rows: prepareRows(database), at: Date.now() };
  let sample: Stored | undefined;
  database.exec('BEGIN');
  for (let image = 0; image < images; image++) {
    const stored = seedImage(write, image, layers);
    if (image === images >> 1) sample = stored;
    if (image % BATCH_IMAGES === 0) await nextTurn();
  }
  database.exec('COMMIT');
  database.close();
  if (!sample) throw new Error('no images');
  return sample;
}

interface Write {
  layout: Layout;
  rows: ReturnType<typeof prepareRows>;
  at: number;
}

interface Child {
  role: 'config' | 'layer';
  mediaType: string;
  digest: Digest;
  content: Buffer;
}

/** @returns its last layer */
function seedImage({ layout, rows, at }: Write, image: number, layers: number): Stored {
  const repositoryId = 1 + Math.floor(image / IMAGES_PER_REPOSITORY);
  const repository = `bench/seed-${repositoryId}`;
  if (image % IMAGES_PER_REPOSITORY === 0) rows.repository.run(repositoryId, UPSTREAM, repository);
  const children: Child[] = [makeChild('config', `config ${image}`)];
  for (let layer = 0; layer < layers; layer++) children.push(makeChild('layer', `layer ${image} ${layer}`));
  const manifest = Buffer.from(describe(children));
  const digest = digestOf(manifest);
  const blobs = [{ digest, content: manifest }, ...children];
  blobs.forEach((blob, i) => {
    writeFileSync(layout.blob(blob.digest), blob.content);
    rows.blob.run(blob.digest, blob.content.length, at - image * 1000 - i);
    rows.holding.run(repositoryId, blob.digest, at);
  });
  children.forEach(({ digest: child, role, content }, position) => {
    rows.link.run(digest, position, child, role, content.length);
  });
  rows.manifest.run(digest, types.manifest);
  rows.tag.run(repositoryId, `1.${image}`, digest, types.manifest, manifest.length, at);
  const last = children.at(-1);
  if (!last) throw new Error('an image without blobs');
  return { repository, digest: last.digest, content: last.content };
}

/** Some hundred bytes, so that no file fits into its inode. */
function makeChild(role: Child['role'], text: string): Child {
  const content = Buffer.from(`${text}\n`.repeat(40));
  return { role, mediaType: types[role], digest: digestOf(content), content };
}

function describe(children: readonly Child[]): string {
  const [config, ...layers] = children.map(({ mediaType, digest, content }) => ({
    mediaType,
    digest,
    size: content.length,
  }));
  return JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config, layers });
}

function makeShards(layout: Layout): void {
  for (let shard = 0; shard < 256; shard++) {
    mkdirSync(layout.shard('sha256', shard.toString(16).padStart(2, '0')), { recursive: true });
  }
}

function prepareRows(database: DatabaseSync) {
  const into = (table: string, values: string) => database.prepare(`INSERT INTO ${table} VALUES (${values})`);
  return {
    repository: into('repositories (id, upstream, name)', '?, ?, ?'),
    blob: into('blobs (digest, size, last_used)', '?, ?, ?'),
    manifest: into('manifests (digest, media_type)', '?, ?'),
    link: into('links (parent, position, child, role, size, is_foreign)', '?, ?, ?, ?, ?, 0'),
    holding: into('holdings (repository, digest, proven_at)', '?, ?, ?'),
    tag: into('tags (repository, tag, digest, media_type, size, checked_at)', '?, ?, ?, ?, ?, ?'),
  };
}

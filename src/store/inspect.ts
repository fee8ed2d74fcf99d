/** Owns the walk through the store, one directory (1/256 of it) at a time: memory does not grow with the store. */
import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { algorithmOf, type Digest, type DigestAlgorithm, hexOf, parseDigest } from '../oci/digest.ts';
import type { ContentIndex } from './content-index.ts';
import type { DiskStore } from './disk-store.ts';
import type { Step, StoreFinding } from './findings.ts';
import { hashFile, openRegular, type RegularFile } from './hash-file.ts';
import { isMissing, type Layout } from './layout.ts';

export interface InspectedParts {
  layout: Layout;
  index: ContentIndex;
  store: DiskStore;
}

/** One directory of stored content. */
export interface Shard {
  algorithm: DigestAlgorithm;
  /** two hex digits */
  prefix: string;
}

/** `names` compares files and rows; `content` hashes every file too. */
export type Depth = 'names' | 'content';

const ALGORITHMS: readonly DigestAlgorithm[] = ['sha256', 'sha512'];
const SHARD_NAME = /^[0-9a-f]{2}$/;

export const SHARDS: readonly Shard[] = ALGORITHMS.flatMap((algorithm) =>
  Array.from({ length: 256 }, (_, at) => ({ algorithm, prefix: at.toString(16).padStart(2, '0') })),
);

/** @returns how digests of the shard begin */
export function prefixOf({ algorithm, prefix }: Shard): string {
  return `${algorithm}:${prefix}`;
}

/** What lies in a shard, by what can be said of it without opening it. */
export interface ShardEntries {
  /** rows, with or without a file */
  known: Digest[];
  /** rows without a file when it was looked */
  gone: Digest[];
  /** files with a digest's name and without a row */
  rowless: Digest[];
  /** paths of what is no content */
  strange: string[];
}

export async function readShard({ layout, index }: InspectedParts, shard: Shard): Promise<ShardEntries> {
  const directory = layout.shard(shard.algorithm, shard.prefix);
  const names = new Set((await entriesOf(directory)).map(({ name }) => name));
  const known = index.withPrefix(prefixOf(shard)).map(({ digest }) => digest);
  const gone = known.filter((digest) => !names.delete(hexOf(digest)));
  const rowless: Digest[] = [];
  const strange: string[] = [];
  for (const name of names) {
    const digest = parseDigest(`${shard.algorithm}:${name}`);
    if (digest && name.startsWith(shard.prefix)) rowless.push(digest);
    else strange.push(join(directory, name));
  }
  return { known, gone, rowless, strange };
}

/**
 * Inspects one shard. What happens meanwhile is looked at again before anything is changed.
 * @param chunkBytes how much is read at a time
 * @throws what the file system says
 */
export async function* inspectShard(
  parts: InspectedParts,
  shard: Shard,
  depth: Depth,
  chunkBytes?: number,
): AsyncGenerator<Step> {
  const { known, gone, rowless, strange } = await readShard(parts, shard);
  const { judge } = parts.store;
  for (const digest of gone) yield* said(await judge.forgetMissing(digest));
  for (const path of strange) yield* said(await judge.setAsideUnknown(path));
  const inspected = depth === 'content' ? [...rowless, ...known] : rowless;
  for (const digest of inspected) yield* inspectContent(parts, digest, chunkBytes);
}

/** Looks for files where only directories are made. */
export async function* inspectRoots({ layout, store }: InspectedParts): AsyncGenerator<Step> {
  const look = async function* (
    directory: string,
    isExpected: (name: string) => boolean,
  ): AsyncGenerator<Step> {
    for (const entry of await entriesOf(directory)) {
      if (entry.isDirectory() && isExpected(entry.name)) continue;
      yield* said(await store.judge.setAsideUnknown(join(directory, entry.name)));
    }
  };
  yield* look(layout.blobs, (name) => ALGORITHMS.some((algorithm) => algorithm === name));
  for (const algorithm of ALGORITHMS) {
    yield* look(join(layout.blobs, algorithm), (name) => SHARD_NAME.test(name));
  }
}

/** Hashes what is stored under a digest; content that is evicted or replaced meanwhile is no finding. */
export async function* inspectContent(
  parts: InspectedParts,
  digest: Digest,
  chunkBytes?: number,
): AsyncGenerator<Step> {
  const { store, layout } = parts;
  if (store.sizeOf(digest) === undefined) {
    yield* prove(parts, digest);
    return;
  }
  const opened = await openRegular(layout.blob(digest)).catch((error: unknown) => {
    if (isUnreadable(error)) return 'unreadable' as const;
    throw error;
  });
  if (opened === 'unreadable') {
    yield* said(store.judge.unreadable(digest));
    return;
  }
  if (!opened || opened === 'irregular') {
    yield* said(await store.judge.forgetMissing(digest));
    return;
  }
  try {
    yield* compare(parts, digest, opened, chunkBytes);
  } finally {
    await opened.file.close();
  }
}

async function* prove({ store }: InspectedParts, digest: Digest): AsyncGenerator<Step> {
  try {
    const proof = await store.judge.prove(digest);
    if (proof.kind === 'found') yield* said(proof.finding);
    if (proof.kind !== 'adopted') return;
    yield { kind: 'read', bytes: proof.bytes };
    yield { kind: 'checked', digest, isAdopted: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    yield* said(store.judge.unreadable(digest));
  }
}

async function* compare(
  { store }: InspectedParts,
  digest: Digest,
  { file, size, ino }: RegularFile,
  chunkBytes: number | undefined,
): AsyncGenerator<Step> {
  const isWhole = store.sizeOf(digest) === size;
  try {
    if (isWhole && (yield* readThrough(hashFile(file, algorithmOf(digest), chunkBytes))) === digest) {
      yield { kind: 'checked', digest, isAdopted: false };
      return;
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    yield* said(store.judge.unreadable(digest));
    return;
  }
  yield* said(await store.judge.setAside(digest, ino));
}

async function* readThrough(hashing: AsyncGenerator<number, Digest>): AsyncGenerator<Step, Digest> {
  for (;;) {
    const step = await hashing.next();
    if (step.done) return step.value;
    yield { kind: 'read', bytes: step.value };
  }
}

function* said(finding: StoreFinding | undefined): Generator<Step> {
  if (finding) yield { kind: 'found', finding };
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    if ((await lstat(directory)).isSymbolicLink()) return []; // found from above, and not followed
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    if (isMissing(error) || isNoDirectory(error)) return []; // a file in its place is found from above
    throw error;
  }
}

function isNoDirectory(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOTDIR';
}

/** What the file system says about one file says nothing about the next; want of descriptors does. */
function isUnreadable(error: unknown): boolean {
  if (!(error instanceof Error) || !('errno' in error) || !('code' in error)) return false;
  return error.code !== 'EMFILE' && error.code !== 'ENFILE';
}

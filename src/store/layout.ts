/** Owns where things lie in the data directory, layout `v1`. */
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { algorithmOf, type Digest, type DigestAlgorithm, hexOf, parseDigest } from '../oci/digest.ts';

const VERSION = 1;

/** The data directory was written by a newer hubcap: nothing is touched. */
export class LayoutTooNewError extends Error {
  constructor(directory: string, found: string) {
    super(
      `${directory} has layout ${found}, this hubcap knows v${VERSION}: run the newer hubcap, or use another data directory`,
    );
    this.name = 'LayoutTooNewError';
  }
}

/** Everything that hubcap writes below the data directory. */
export class Layout {
  readonly directory: string;
  readonly root: string;
  readonly blobs: string;
  readonly fills: string;
  /** damaged and unknown files */
  readonly aside: string;
  readonly catalog: string;
  /** a copy of the pins, as text */
  readonly pins: string;
  readonly lock: string;
  readonly ballast: string;
  readonly socket: string;

  constructor(directory: string) {
    this.directory = directory;
    this.root = join(directory, `v${VERSION}`);
    this.blobs = join(this.root, 'blobs');
    this.fills = join(this.root, 'fills');
    this.aside = join(this.root, 'aside');
    this.catalog = join(this.root, 'catalog.db');
    this.pins = join(this.root, 'pins.jsonl');
    this.lock = join(this.root, 'lock');
    this.ballast = join(this.root, 'ballast');
    this.socket = join(directory, 'control.sock');
  }

  /** @throws LayoutTooNewError, whether or not there is a layout beside it that could be used; what the file system says */
  async refuseNewer(): Promise<void> {
    const names = await readdir(this.directory).catch((error: unknown) => {
      if (!isMissing(error)) throw error;
      return [];
    });
    const newer = names.find((name) => /^v[1-9]\d*$/.test(name) && Number(name.slice(1)) > VERSION);
    if (newer !== undefined) throw new LayoutTooNewError(this.directory, newer);
  }

  /** Makes the directories that must exist. @throws what the file system says */
  async create(): Promise<void> {
    for (const path of [this.blobs, this.fills, this.aside]) await makeDirectory(path);
  }

  /** @returns the directory of stored blobs that share the digest's first two hex digits */
  shard(algorithm: DigestAlgorithm, prefix: string): string {
    return join(this.blobs, algorithm, prefix);
  }

  shardOf(digest: Digest): string {
    return this.shard(algorithmOf(digest), hexOf(digest).slice(0, 2));
  }

  blob(digest: Digest): string {
    return join(this.shardOf(digest), hexOf(digest));
  }

  partial(digest: Digest): string {
    return join(this.fills, `${algorithmOf(digest)}-${hexOf(digest)}`);
  }

  /** What is needed to go on with a partial without a client. */
  partialNote(digest: Digest): string {
    return `${this.partial(digest)}.json`;
  }
}

/** @returns the digest whose partial file has this name, undefined for any other file */
export function digestOfPartial(fileName: string): Digest | undefined {
  return parseDigest(fileName.replace('-', ':'));
}

/** Makes a directory and its parents. `mkdir` with `recursive` never ends where a parent cannot exist (/proc). */
async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    if (isThere(error) && (await stat(path)).isDirectory()) return;
    if (!isMissing(error) || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await mkdir(path, { mode: 0o750 });
  }
}

function isThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}

/** Writes a new file whose content survives power loss once this resolves; its name does after `syncDirectory`. */
export async function writeDurably(path: string, body: Buffer): Promise<void> {
  const file = await open(path, 'w', 0o640);
  try {
    await file.writeFile(body);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Puts a file to its place in the store by `move`, so that it is there after a power loss once this resolves. */
export async function placeDurably(
  layout: Layout,
  digest: Digest,
  move: (target: string) => Promise<void>,
): Promise<void> {
  const shard = layout.shardOf(digest);
  const made = await mkdir(shard, { recursive: true, mode: 0o750 });
  await move(layout.blob(digest));
  await syncDirectory(shard);
  if (made === undefined) return;
  // A new directory is an entry in its parent: from the first that was made, each of them.
  for (let parent = dirname(shard); parent.length >= dirname(made).length; parent = dirname(parent))
    await syncDirectory(parent);
}

/** Makes a rename or an unlink in the directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** @returns whether a file system call failed because the path does not exist */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

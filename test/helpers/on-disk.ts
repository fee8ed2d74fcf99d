/** Owns looking into a data directory from outside: what lies there, and whether it is what its name says. */
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isMissing } from '../../src/store/layout.ts';

export interface OnDisk {
  /** size by digest of every file in `blobs/` whose content is what its name says */
  blobs: Map<string, number>;
  /** files in `blobs/` that are something else */
  wrong: string[];
  /** size by name of what is in `fills/` */
  fills: Map<string, number>;
  /** of blobs and partial files, in whole blocks */
  bytes: number;
}

const BLOCK_BYTES = 4096;
const PARTIAL = /^sha\d+-[0-9a-f]{64,128}$/;

/** Reads and hashes everything. What disappears meanwhile was not there. */
export async function readDisk(directory: string): Promise<OnDisk> {
  const blobs = new Map<string, number>();
  const wrong: string[] = [];
  const root = join(directory, 'v1', 'blobs');
  for (const name of await filesBelow(root)) {
    const [algorithm = '', shard = '', hex = ''] = name.split('/');
    const body = await readFile(join(root, name)).catch(ignoreMissing);
    if (!body) continue;
    const isRight = hex.startsWith(shard) && createHash(algorithm).update(body).digest('hex') === hex;
    if (isRight) blobs.set(`${algorithm}:${hex}`, body.length);
    else wrong.push(name);
  }
  const fills = new Map<string, number>();
  const fillsDirectory = join(directory, 'v1', 'fills');
  for (const name of await filesBelow(fillsDirectory)) {
    const found = await stat(join(fillsDirectory, name)).catch(ignoreMissing);
    if (found) fills.set(name, found.size);
  }
  const partials = [...fills].filter(([name]) => PARTIAL.test(name)).map(([, size]) => size);
  const bytes = [...blobs.values(), ...partials].reduce((sum, size) => sum + inBlocks(size), 0);
  return { blobs, wrong, fills, bytes };
}

/** @returns what is in `fills/` and is neither a partial file worth resuming nor the note of one */
export function leftoversIn({ fills }: OnDisk): string[] {
  const isPartial = (name: string): boolean => PARTIAL.test(name) && (fills.get(name) ?? 0) >= 1024 * 1024;
  return [...fills.keys()].filter((name) => !isPartial(name) && !isPartial(name.replace(/\.json$/, '')));
}

/**
 * What the catalog says is on disk: sizes by digest. A copy is read, as whoever opens a catalog after a kill
 * changes it. Nobody may write it meanwhile.
 */
export async function readCatalog(directory: string): Promise<Map<string, number>> {
  const copy = await mkdtemp(join(tmpdir(), 'hubcap-catalog-'));
  const file = join(copy, 'catalog.db');
  try {
    for (const suffix of ['', '-wal']) {
      await copyFile(join(directory, 'v1', `catalog.db${suffix}`), file + suffix).catch(ignoreMissing);
    }
    const database = new DatabaseSync(file);
    try {
      const hasTable = database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'blobs'").get();
      const rows = hasTable ? database.prepare('SELECT digest, size FROM blobs').all() : [];
      return new Map(rows.map(({ digest, size }) => [String(digest), Number(size)]));
    } finally {
      database.close();
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

/** @returns what so many bytes take on disk */
export function inBlocks(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(ignoreMissing);
  return (entries ?? [])
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

function ignoreMissing(error: unknown): undefined {
  if (!isMissing(error)) throw error;
  return undefined;
}

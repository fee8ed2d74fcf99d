/** Owns what a data directory really holds, read from the disk without the product's help. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskTruth {
  /** stored content by its digest, bytes; each was hashed */
  blobs: Map<string, number>;
  /** partial files by their name, bytes */
  partials: Map<string, number>;
  /** everything else in fills/: notes and what should not be there */
  others: string[];
  /** what was set aside by its name, bytes */
  aside: Map<string, number>;
  /** of blobs, partials and what was set aside, in whole blocks */
  bytesOnDisk: number;
}

const BLOCK_BYTES = 4096;

/**
 * Hashes every stored file, and lists what lies in fills/.
 * @throws Error that names each file below v1/blobs whose content is not what its name says
 */
export async function assertDiskIsTrue(directory: string): Promise<DiskTruth> {
  const root = join(directory, 'v1');
  const blobs = new Map<string, number>();
  const faults: string[] = [];
  for (const path of await filesBelow(join(root, 'blobs'))) {
    const [algorithm = '', shard = '', hex = ''] = path.split('/');
    const body = readFileSync(join(root, 'blobs', path));
    const isHash = algorithm === 'sha256' || algorithm === 'sha512';
    const found = isHash ? createHash(algorithm).update(body).digest('hex') : 'no content at all';
    if (found !== hex) faults.push(`${path} (${body.length} bytes) is ${found}`);
    else if (!hex.startsWith(shard)) faults.push(`${path} lies in the wrong directory`);
    blobs.set(`${algorithm}:${hex}`, body.length);
  }
  if (faults.length > 0) throw new Error(`what is stored is not what its name says:\n${faults.join('\n')}`);
  const names = await filesBelow(join(root, 'fills'));
  const partials = await sizesOf(
    join(root, 'fills'),
    names.filter((name) => /^sha(256|512)-[a-f0-9]+$/.test(name)),
  );
  const aside = await sizesOf(join(root, 'aside'), await filesBelow(join(root, 'aside')));
  const sizes = [...blobs.values(), ...partials.values(), ...aside.values()];
  return {
    blobs,
    partials,
    others: names.filter((name) => !partials.has(name)),
    aside,
    bytesOnDisk: sizes.reduce((sum, size) => sum + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES, 0),
  };
}

/** @returns what lies in fills/ and belongs to no partial file */
export function leftoversOf({ partials, others }: DiskTruth): string[] {
  return others.filter((name) => !partials.has(name.replace(/\.json$/, '')));
}

/** @returns the files below a directory that this process has open, the catalog's and the lock's excepted */
export function openFilesBelow(directory: string): string[] {
  return readdirSync('/proc/self/fd')
    .map(linkOf)
    .filter((path) => path.startsWith(`${directory}/`))
    .filter((path) => !/\/v1\/(catalog\.db(-\w+)?|lock)( \(deleted\))?$/.test(path));
}

function linkOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // the one that listed the directory is gone
  }
}

async function sizesOf(directory: string, names: readonly string[]): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const name of names) sizes.set(name, (await stat(join(directory, name))).size);
  return sizes;
}

/** @returns none where there is no such directory: nothing was set aside yet */
async function filesBelow(directory: string): Promise<string[]> {
  if (!existsSync(directory)) return [];
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

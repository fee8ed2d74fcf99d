/** Owns the check of the file system that a data directory is on: local, lasting, and one. */
import type { Stats } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { isMissing, Layout } from '../store/layout.ts';
import { type Finding, voiceOf } from './check.ts';

const say = voiceOf('data directory');

/** File systems on which other machines write, too: locks and syncs are weaker there. */
const NETWORK_TYPES: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  16914839: '9p',
  12805120: 'Ceph',
  198183888: 'Lustre',
  1397113167: 'AFS',
  1196443219: 'GPFS',
  1952539503: 'OCFS2',
};
const FUSE = 0x65735546;
const MEMORY = 0x01021994;
const OVERLAY = 0x794c7630;

/** @returns a warning where the file system is not made for a store */
export async function checkFileSystem(path: string): Promise<Finding[]> {
  const type = await statfs(path).then(
    ({ type }) => type,
    () => undefined,
  ); // what is wrong with it is said by the others
  if (type === undefined) return [];
  const network = NETWORK_TYPES[type];
  const facts = { fileSystem: `0x${type.toString(16)}` };
  if (network !== undefined)
    return [
      say.warning(
        'directory.network',
        `${path} is on a network file system (${network}): locks and syncs are weaker there`,
        'use a local disk; each machine has a hubcap and a directory of its own',
        facts,
      ),
    ];
  if (type === FUSE)
    return [
      say.warning(
        'directory.network',
        `${path} is on a FUSE file system, which may be one of the network`,
        'use a local disk',
        facts,
      ),
    ];
  if (type === MEMORY)
    return [
      say.warning(
        'directory.memory',
        `${path} is in memory (tmpfs): what is stored is gone after a restart`,
        'use a disk',
        facts,
      ),
    ];
  if (type === OVERLAY)
    return [
      say.warning(
        'directory.overlay',
        `${path} is in the container's own layer (overlay): what is stored goes with the container`,
        'mount a volume there',
        facts,
      ),
    ];
  return [];
}

/** A blob is moved from fills to its place: between file systems that would be a copy, and is refused. */
export async function checkOneFileSystem(directory: string): Promise<Finding[]> {
  const { blobs, fills, root } = new Layout(directory);
  const found = await Promise.all([root, blobs, fills].map(look));
  const devices = new Set(found.flatMap((one) => (typeof one === 'object' ? [one.dev] : [])));
  if (devices.size < 2) return [];
  return [
    say.failed(
      'directory.devices',
      `${blobs} and ${fills} are on different file systems: nothing can be stored`,
      `mount one file system at ${directory}, and none below it`,
    ),
  ];
}

/** @returns what is there, undefined where nothing is, or the code of the error */
export async function look(path: string): Promise<Stats | string | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    return isMissing(error) ? undefined : codeOf(error);
  }
}

/** @returns `EACCES` and its like */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

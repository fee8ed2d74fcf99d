/** Owns the paths of an archive's entries: which are taken, and where a link leads. Pure. */
import { ArchiveError } from './archive-error.ts';

/** Longer than any that images need (`blobs/sha512/` and 128 hex digits); names are remembered, and memory is bounded. */
const MAX_PATH_BYTES = 512;

/**
 * @param raw as the archive has it
 * @returns without `./` before and `/` after it; empty for the root of the archive
 * @throws ArchiveError where it leads out of the archive, or could be read in two ways
 */
export function entryPath(raw: string): string {
  if (Buffer.byteLength(raw) > MAX_PATH_BYTES)
    throw new ArchiveError('the name is too long for an image archive', raw);
  if (raw.includes('\0')) throw new ArchiveError('the name has a NUL in it', raw);
  if (raw.includes('\\')) throw new ArchiveError('the name has a backslash in it', raw);
  if (raw.startsWith('/')) throw new ArchiveError('the name is an absolute path', raw);
  const parts = raw.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new ArchiveError('the name leads out of the archive', raw);
  return parts.join('/');
}

/**
 * @param path of the link
 * @param raw where it says it leads, relative to its directory
 * @returns the path that it leads to
 * @throws ArchiveError where that is not in the archive
 */
export function linkTarget(path: string, raw: string): string {
  if (raw === '' || Buffer.byteLength(raw) > MAX_PATH_BYTES || /[\0\\]/.test(raw) || raw.startsWith('/'))
    throw leadsOut(path);
  const parts = path.split('/').slice(0, -1);
  for (const part of raw.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) throw leadsOut(path);
  }
  return parts.join('/');
}

function leadsOut(path: string): ArchiveError {
  return new ArchiveError('the link leads out of the archive', path);
}

/** Owns the writing of a bundle to a file or to standard output: a file is there as a whole, with its checksum, or not at all. */
import { createHash, type Hash } from 'node:crypto';
import { existsSync, rmSync, statSync } from 'node:fs';
import { type FileHandle, lstat, open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { release } from '../chunk-memory.ts';
import { BatchWriter } from '../store/batch-writer.ts';
import { StorageError } from '../store/errors.ts';
import { formatBytes } from '../units.ts';
import { checksumLine, checksumPath } from './checksum-line.ts';
import { readUntil } from './interruption.ts';
import { ReportedError } from './reported-error.ts';

export interface Writing {
  /** bytes of the whole file, as they are expected */
  totalBytes: number;
  signal: AbortSignal;
  /** is told how much is written, bytes */
  onBytes: (bytes: number) => void;
}

/**
 * @throws ReportedError where the file is there already, and may not be replaced. What is no file never may be: root would
 *   have a bundle for a device, /dev/null say
 */
export function refuseExisting(path: string, isForced: boolean): void {
  const places = [path, checksumPath(path)];
  const other = places.find((one) => existsSync(one) && !statSync(one).isFile());
  if (other !== undefined)
    throw new ReportedError(`${other} is no file: name one; -o - writes to standard output`);
  if (isForced) return;
  const there = places.find((one) => existsSync(one));
  if (there !== undefined)
    throw new ReportedError(`${there} is there already: choose another file, or replace it with --force`);
}

/**
 * Writes a bundle beside its place, and moves it there when all of it is on disk.
 * @returns the hash of the file, SHA-256 in hex
 * @throws ReportedError where the file system refuses; what `bundle` throws; nothing is left behind then
 */
export async function writeBundleFile(
  path: string,
  bundle: AsyncIterable<Buffer>,
  isForced: boolean,
  writing: Writing,
): Promise<string> {
  const partial = `${path}.partial`;
  const partialChecksum = `${checksumPath(path)}.partial`;
  const clean = (): void => {
    // Where nothing may be looked at, nothing was written: to say so is not for this.
    for (const one of [partial, partialChecksum]) if (existsSync(one)) rmSync(one, { force: true });
  };
  process.once('exit', clean); // a second Ctrl-C does not wait for what is below
  try {
    await rm(partial, { force: true }); // of an export that was killed
    await using file = await open(partial, 'wx');
    const hash = createHash('sha256');
    await copy(hashed(bundle, hash, writing), file);
    const hex = hash.digest('hex');
    await writeFile(partialChecksum, checksumLine(hex, basename(path)), { flush: true });
    await refuseTaken(file, partial);
    refuseExisting(path, isForced);
    await rm(checksumPath(path), { force: true }); // what is there never has another file's checksum
    await rename(partial, path);
    await rename(partialChecksum, checksumPath(path));
    await syncDirectory(dirname(path));
    return hex;
  } catch (error) {
    clean();
    throw explain(error, path, writing.totalBytes);
  } finally {
    process.off('exit', clean);
  }
}

/** What is handed to the disk at once; what waits for it at the end is no more than this. */
const SYNC_EVERY_BYTES = 64 * 1024 * 1024;

/** Writes and syncs beside the reading: the disk has little left to do when the last byte comes. */
async function copy(chunks: AsyncIterable<Buffer>, file: FileHandle): Promise<void> {
  let unsynced = 0;
  let syncing: Promise<void> | undefined;
  let failure: unknown;
  const written = (bytes: number): void => {
    unsynced += bytes;
    if (syncing || unsynced < SYNC_EVERY_BYTES) return;
    unsynced = 0;
    syncing = file
      .datasync()
      .catch((error: unknown) => {
        failure ??= error; // the next sync would not say it again
      })
      .finally(() => {
        syncing = undefined;
      });
  };
  const writer = new BatchWriter(file, 0, { written, done: release });
  try {
    for await (const chunk of chunks) await writer.push(chunk);
    await writer.flush();
  } catch (error) {
    throw error instanceof StorageError ? error.cause : error;
  } finally {
    await syncing;
  }
  if (failure !== undefined) throw failure;
  await file.sync();
}

/** @returns the hash of what was written. @throws what `bundle` throws */
export async function writeBundleOut(bundle: AsyncIterable<Buffer>, writing: Writing): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(hashed(bundle, hash, writing), process.stdout, { signal: writing.signal, end: false });
  return hash.digest('hex');
}

async function* hashed(
  bundle: AsyncIterable<Buffer>,
  hash: Hash,
  { signal, onBytes }: Writing,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of readUntil(bundle, signal)) {
    hash.update(chunk);
    bytes += chunk.length;
    onBytes(bytes);
    yield chunk;
  }
}

/** Another export to the same file has removed ours: what stands under the name is not what was hashed. */
async function refuseTaken(file: FileHandle, partial: string): Promise<void> {
  const [ours, there] = await Promise.all([file.stat({ bigint: true }), lstat(partial, { bigint: true })]);
  if (ours.ino !== there.ino || ours.dev !== there.dev)
    throw new ReportedError(`${partial} was replaced meanwhile: another export writes the same file`);
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, 'r');
  await directory.sync();
}

const REFUSALS: Readonly<Record<string, string>> = {
  ENOSPC: 'its file system is full: make room',
  EDQUOT: 'the quota is used up: make room',
  EFBIG: 'its file system holds no file that large (FAT ends at 4GiB): use another',
  EACCES: 'give this user the right to write there',
  EPERM: 'give this user the right to write there',
  EROFS: 'its file system is mounted read-only: mount it for writing',
  ENOENT: 'its directory is not there: make it',
  ENOTDIR: 'a part of its path is no directory',
  EISDIR: 'it is a directory: name a file in it',
  EIO: 'the disk has a fault: see the kernel log',
};

function explain(error: unknown, path: string, totalBytes: number): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const remedy = REFUSALS[code];
  if (!(error instanceof Error) || remedy === undefined) return error;
  return new ReportedError(
    `${path} cannot be written (${error.message}): ${remedy}. The bundle has ${formatBytes(totalBytes)}; nothing is left behind`,
    error,
  );
}

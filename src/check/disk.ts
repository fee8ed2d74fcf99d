/** Owns the check of the room for the store: the budget against the file system, what is free, files that may be made. */
import { statfs } from 'node:fs/promises';
import type { Share } from '../config/schema.ts';
import { formatBytes } from '../units.ts';
import { type Finding, voiceOf } from './check.ts';
import { nearestDirectory } from './directory.ts';

const say = voiceOf('disk');
/** Some images need so much; less is of no use to anybody. */
const LITTLE_BYTES = 1024 ** 3;
/** A store has a file for each blob, and a few for itself. */
const FEW_FILES = 10_000;

/** What the file system says, in bytes and files. */
export interface Room {
  totalBytes: number;
  freeBytes: number;
  /** 0 where the file system does not count them */
  totalFiles: number;
  freeFiles: number;
}

export interface Budget {
  maxBytes: number | Share;
  minFreeBytes: number;
  /** that the store has now; undefined where it is not known */
  usedBytes: number | undefined;
}

export async function checkDisk(directory: string, budget: Budget): Promise<Finding[]> {
  const path = await nearestDirectory(directory);
  try {
    const { blocks, bavail, bsize, files, ffree } = await statfs(path);
    const room = {
      totalBytes: blocks * bsize,
      freeBytes: bavail * bsize,
      totalFiles: files,
      freeFiles: ffree,
    };
    return judgeRoom(path, room, budget);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return [say.failed('disk', `${path}: its file system cannot be asked (${why})`, 'see the kernel log')];
  }
}

/** @param path of a directory on the file system */
export function judgeRoom(path: string, room: Room, budget: Budget): Finding[] {
  const { totalBytes, freeBytes } = room;
  const { minFreeBytes, usedBytes = 0 } = budget;
  const maxBytes =
    typeof budget.maxBytes === 'number' ? budget.maxBytes : Math.floor(totalBytes * budget.maxBytes.share);
  const facts = { totalBytes, freeBytes, maxBytes, minFreeBytes, usedBytes: budget.usedBytes };
  const roomBytes = Math.max(0, Math.min(maxBytes - usedBytes, freeBytes - minFreeBytes));
  const inAll = `${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free at ${path}`;
  const findings: Finding[] = [];
  if (maxBytes + minFreeBytes > totalBytes) {
    const message = `a budget of ${formatBytes(maxBytes)} and minFree ${formatBytes(minFreeBytes)} are more than the file system has: ${inAll}`;
    findings.push(
      say.warning(
        'disk.budget',
        message,
        'set storage.maxSize (--max-size) to less; minFree decides until then',
        facts,
      ),
    );
  }
  if (freeBytes <= minFreeBytes && usedBytes === 0) {
    const message = `${inAll}, and minFree keeps ${formatBytes(minFreeBytes)}: nothing can be stored`;
    findings.push(
      say.failed(
        'disk.room',
        message,
        'make room, lower storage.minFree, or choose another directory with --data DIR',
        facts,
      ),
    );
  } else if (roomBytes + usedBytes < Math.min(LITTLE_BYTES, maxBytes)) {
    const message = `the store has room for ${formatBytes(roomBytes + usedBytes)}, which is little: ${inAll}`;
    findings.push(
      say.warning('disk.room', message, 'make room, or choose another directory with --data DIR', facts),
    );
  } else if (freeBytes <= minFreeBytes) {
    const message = `${inAll}, less than minFree (${formatBytes(minFreeBytes)}): hubcap evicts to reach that`;
    findings.push(say.warning('disk.room', message, 'make room, or lower storage.minFree', facts));
  } else {
    const now =
      budget.usedBytes === undefined ? '' : `, ${formatBytes(roomBytes)} may be stored now without evicting`;
    const message = `${inAll}; the budget is ${formatBytes(maxBytes)}${now}`;
    findings.push(say.ok('disk.room', message, facts));
  }
  if (room.totalFiles > 0 && room.freeFiles < FEW_FILES) {
    const message = `${room.freeFiles} files more can be made at ${path} (inodes)`;
    findings.push(
      say[room.freeFiles === 0 ? 'failed' : 'warning'](
        'disk.files',
        message,
        'remove files that nobody needs, or use a file system with more inodes',
        { freeFiles: room.freeFiles },
      ),
    );
  }
  return findings;
}

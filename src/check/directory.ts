/** Owns the check of the data directory: nothing is made but one small file, which is removed again. */

import { constants, type Stats } from 'node:fs';
import { access, readFile, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Status as DaemonStatus } from '../admin/status.ts';
import { Layout, LayoutTooNewError, writeDurably } from '../store/layout.ts';
import { type Finding, voiceOf } from './check.ts';
import { DIRECTORY_REMEDIES } from './directory-remedies.ts';
import { checkFileSystem, checkOneFileSystem, codeOf, look } from './file-system.ts';

const say = voiceOf('data directory');
const ELSEWHERE = 'or choose another directory with --data DIR';

export interface DirectoryCheck {
  directory: string;
  /** of the daemon that serves it; undefined where none answers */
  daemon: Pick<DaemonStatus, 'pid' | 'version'> | undefined;
  /** process that holds its lock, where that can be told */
  holder: number | undefined;
  uid: number | undefined;
}

export async function checkDirectory({ directory, daemon, holder, uid }: DirectoryCheck): Promise<Finding[]> {
  const found = await look(directory);
  if (typeof found === 'string') return [unusable(directory, found)];
  if (!found) return await checkMissing(directory);
  if (!found.isDirectory())
    return [say.failed('directory.kind', `${directory} is no directory`, `remove it, ${ELSEWHERE}`)];
  const findings = [owner(directory, found, uid), ...(await layout(directory))].filter(
    (one) => one !== undefined,
  );
  findings.push(
    await probe(directory),
    ...(await checkFileSystem(directory)),
    ...(await checkOneFileSystem(directory)),
  );
  findings.push(...inUse(directory, daemon, holder));
  return findings;
}

/** @returns the first directory above that is there: what a data directory would be made in, and its file system */
export async function nearestDirectory(directory: string): Promise<string> {
  const found = await look(directory);
  if (typeof found === 'object' || dirname(directory) === directory) return directory;
  return await nearestDirectory(dirname(directory));
}

/**
 * @returns the process that holds a data directory's lock, as the kernel lists locks; undefined where nobody does, or
 *   the system has no such list. Trying to take the lock could take it from a daemon that starts.
 */
export async function lockHolder(directory: string): Promise<number | undefined> {
  try {
    const [{ dev, ino }, locks] = await Promise.all([
      stat(new Layout(directory).lock),
      readFile('/proc/locks', 'utf8'),
    ]);
    const device = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
    const hex = device.map((part) => part.toString(16).padStart(2, '0')).join(':');
    const line = locks.split('\n').find((one) => one.includes(' WRITE ') && one.includes(` ${hex}:${ino} `));
    const pid = Number(line?.trim().split(/\s+/)[4]);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined; // no directory yet, or not Linux
  }
}

/** It is not made here: only whether it can be is looked at. */
async function checkMissing(directory: string): Promise<Finding[]> {
  const parent = await nearestDirectory(directory);
  const found = await look(parent);
  if (typeof found !== 'object' || !found.isDirectory())
    return [
      say.failed(
        'directory.parent',
        `${directory} cannot be made: ${parent} is no directory`,
        `correct the path, ${ELSEWHERE}`,
      ),
    ];
  try {
    await access(parent, constants.W_OK | constants.X_OK);
  } catch (error) {
    const why = codeOf(error) === 'EROFS' ? 'is mounted read-only' : 'may not be written by this user';
    return [
      say.failed(
        'directory.parent',
        `${directory} cannot be made: ${parent} ${why}`,
        `make it as root and give it to the user of hubcap, ${ELSEWHERE}`,
      ),
    ];
  }
  const message = `${directory} is not there yet: \`hubcap serve\` makes it`;
  return [say.ok('directory', message, { directory, isThere: false }), ...(await checkFileSystem(parent))];
}

function owner(directory: string, { uid: owner, mode }: Stats, uid: number | undefined): Finding | undefined {
  if ((mode & 0o002) !== 0)
    return say.warning(
      'directory.mode',
      `${directory} may be written by everybody on this machine`,
      `chmod o-w ${directory}`,
    );
  // Files that root makes in somebody else's directory are files that hubcap cannot remove later.
  if (uid === undefined || owner === uid) return undefined;
  const message = `${directory} belongs to the user with id ${owner}, and this is run by ${uid}`;
  return say.warning(
    'directory.owner',
    message,
    'run hubcap and its commands as the user that the directory belongs to',
  );
}

async function layout(directory: string): Promise<Finding[]> {
  const layout = new Layout(directory);
  try {
    await layout.refuseNewer();
  } catch (error) {
    if (error instanceof LayoutTooNewError)
      return [
        say.failed(
          'directory.layout',
          error.message.replace(/: run.*/s, ''),
          'run the newer hubcap, or use another data directory',
        ),
      ];
    return [unusable(directory, codeOf(error))];
  }
  const isThere = (await look(layout.root)) !== undefined;
  return [
    say.ok(
      'directory.layout',
      isThere ? `${directory} has layout v1` : `${directory} is there, and empty of hubcap's files`,
      { directory, isThere: true },
    ),
  ];
}

/** Beside what hubcap keeps, so that nothing of that is touched. */
async function probe(directory: string): Promise<Finding> {
  const path = join(directory, `.hubcap-check-${process.pid}`);
  try {
    await writeDurably(path, Buffer.from('hubcap'));
    return say.ok('directory.write', `${directory} can be written, and what is written is synced`);
  } catch (error) {
    return unusable(directory, codeOf(error));
  } finally {
    await unlink(path).catch(() => undefined); // most often it could not be made
  }
}

function inUse(directory: string, daemon: DirectoryCheck['daemon'], holder: number | undefined): Finding[] {
  if (daemon)
    return [
      say.ok('directory.use', `${directory} is in use by hubcap ${daemon.version}, process ${daemon.pid}`, {
        pid: daemon.pid,
      }),
    ];
  if (holder === undefined) return [];
  const message = `${directory} is in use by process ${holder}, which does not answer`;
  return [
    say.warning(
      'directory.use',
      message,
      'it is starting or stopping, or its socket is elsewhere (--control)',
      { pid: holder },
    ),
  ];
}

function unusable(directory: string, code: string): Finding {
  const remedy = `${DIRECTORY_REMEDIES[code] ?? 'see the kernel log'}, ${ELSEWHERE}`;
  return say.failed('directory.write', `${directory} cannot be used (${code})`, remedy, { code });
}

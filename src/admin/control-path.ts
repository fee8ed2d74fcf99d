/** Owns where the control socket is, for the daemon that makes it and the commands that look for it. */
import { createHash } from 'node:crypto';
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** sun_path holds 108 bytes with its end mark on Linux, 104 on other systems. */
const MAX_PATH_BYTES = 103;

/**
 * The places of the socket, the best first: what the user said; in the data directory; and, where that path is
 * too long or its file system holds no sockets, a short one that is found again from the data directory.
 */
export function controlPaths(directory: string, override: string | undefined): string[] {
  if (override !== undefined) return [override];
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16);
  const short = join(tmpdir(), `hubcap-${ownId()}`, `${name}.sock`);
  return [join(directory, 'control.sock'), short].filter((path) => Buffer.byteLength(path) <= MAX_PATH_BYTES);
}

/**
 * Makes the socket's directory where it is the shared one: others must not be able to put a socket there.
 * @throws Error where it belongs to someone else
 */
export async function prepareControlPath(path: string, directory: string): Promise<void> {
  const parent = dirname(path);
  if (parent === directory) return;
  await mkdir(parent, { recursive: true, mode: 0o700 });
  if (await isOwn(parent)) return;
  throw new Error(`${parent} belongs to someone else or is open to others: remove it, or use --control PATH`);
}

/** @returns whether a socket in the shared place could have been put there by someone else */
export async function isTrustedControlPath(path: string): Promise<boolean> {
  const parent = dirname(path);
  return !parent.startsWith(join(tmpdir(), 'hubcap-')) || (await isOwn(parent));
}

async function isOwn(path: string): Promise<boolean> {
  try {
    const { uid, mode } = await lstat(path);
    return uid === ownId() && (mode & 0o022) === 0;
  } catch {
    return false; // not there: nobody's
  }
}

/** Not of `os.userInfo()`, which throws where the number has no account: containers are run by any number. */
function ownId(): number {
  return process.getuid?.() ?? -1;
}

/** Owns who listens on a port, as far as Linux tells this user. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename } from 'node:path';

export interface PortHolder {
  pid: number;
  /** `docker-registry` */
  name: string;
}

const LISTENING = '0A';

/** @returns the process that listens on a TCP port; undefined where that cannot be told */
export async function portHolder(port: number): Promise<PortHolder | undefined> {
  const tables = await Promise.all(
    ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const sockets = new Set(
    tables.flatMap((table) => listeningInodes(table, port)).map((inode) => `socket:[${inode}]`),
  );
  if (sockets.size === 0) return undefined;
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    if (!(await hasOne(pid, sockets))) continue;
    const path = await readlink(`/proc/${pid}/exe`).catch(() => readFile(`/proc/${pid}/comm`, 'utf8'));
    const name = basename(path.trim().replace(/ \(deleted\)$/, ''));
    return { pid: Number(pid), name: name.replace(/[^\x20-\x7e]/g, '?') };
  }
  return undefined;
}

/** @param table `/proc/net/tcp`: `sl local_address rem_address st … inode` */
export function listeningInodes(table: string, port: number): string[] {
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local = '', , state]) =>
        state === LISTENING && Number.parseInt(local.split(':')[1] ?? '', 16) === port,
    )
    .flatMap((fields) => fields[9] ?? []);
}

/** Of other users' processes nothing is told. */
async function hasOne(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
  return links.some((link) => sockets.has(link));
}

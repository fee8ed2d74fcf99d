/** Owns binding and closing listeners: TCP, by address or passed by systemd, and the control socket, with errors that say what to do. */
import { chmod, lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { isIPv6 } from 'node:net';
import { connectControl } from './admin/control-client.ts';
import { controlPaths, prepareControlPath } from './admin/control-path.ts';
import { isLoopback } from './admin/names.ts';
import { formatAddress } from './config/address.ts';
import type { Address } from './config/schema.ts';

/** The daemon cannot start; the message says what to do. */
export class StartError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'StartError';
  }
}

/** Listening sockets that whoever started us has made, as file descriptors. */
export interface InheritedSockets {
  listen?: number;
  admin?: number;
}

/** The first descriptor that is passed (sd_listen_fds(3)). */
const FIRST_INHERITED = 3;

/**
 * Finds the sockets that systemd passes. The one named `admin` is the admin listener's, any other the mirror's.
 * @param pid of this process: what is meant for another is none of ours
 * @throws StartError where they are not one for each
 */
export function inheritedSockets(
  { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' }: NodeJS.ProcessEnv,
  pid: number,
): InheritedSockets {
  if (LISTEN_PID !== String(pid)) return {};
  const names = LISTEN_FDNAMES.split(':');
  const sockets: InheritedSockets = {};
  for (let index = 0; index < Number(LISTEN_FDS); index++) {
    const listener = names[index] === 'admin' ? 'admin' : 'listen';
    if (sockets[listener] !== undefined) {
      throw new StartError(
        `systemd passes more than one socket for ${listener} (${LISTEN_FDNAMES}): give it one, and name that of metrics and status with FileDescriptorName=admin`,
      );
    }
    sockets[listener] = FIRST_INHERITED + index;
  }
  return sockets;
}

/**
 * @param option the flag that changes the address, for the message
 * @param inherited a socket to take in place of the address. It stays open in whoever passed it: clients wait there
 *   while hubcap restarts
 * @throws StartError
 */
export async function listenOn(
  server: Server,
  address: Address,
  option: 'listen' | 'admin',
  inherited?: number,
): Promise<void> {
  if (inherited !== undefined) return await takeOver(server, inherited, option);
  try {
    // An empty host is all interfaces: Node then takes IPv6 with IPv4, or IPv4 alone where there is no IPv6.
    await bind(
      server,
      address.host === '' ? { port: address.port } : { host: address.host, port: address.port },
    );
  } catch (error) {
    throw explainBindFailure(error, address, option);
  }
}

/**
 * Binds the control socket at the best place that takes it. The data directory's lock is held: a socket that is
 * there has no daemon behind it.
 * @throws StartError
 */
export async function listenOnSocket(
  server: Server,
  directory: string,
  override: string | undefined,
): Promise<void> {
  const failures: unknown[] = [];
  for (const path of controlPaths(directory, override)) {
    try {
      if (override === undefined) await prepareControlPath(path, directory);
      else await refuseForeign(path);
      await unlink(path).catch(() => undefined); // most often there is none; bind says what else is wrong
      await bind(server, { path });
      await chmod(path, 0o600);
      return;
    } catch (error) {
      failures.push(error);
    }
  }
  throw new StartError(
    `the control socket cannot be made (${failures.map(String).join('; ')}): choose another place with --control PATH`,
    failures[0],
  );
}

/**
 * Stops accepting and waits for what runs.
 * @param deadline aborted: connections are ended as they are
 */
export async function drain(server: Server, deadline: AbortSignal): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  const endAll = (): void => server.closeAllConnections();
  if (deadline.aborted) endAll();
  else deadline.addEventListener('abort', endAll, { once: true });
  // A connection that is kept alive after its last response would hold the door until its own time-out.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS);
  await closed;
  clearInterval(sweep);
  deadline.removeEventListener('abort', endAll);
}

const SWEEP_INTERVAL_MS = 100;

/** @returns the URL of a listening server; a wildcard address is shown as the loopback one. */
export function addressUrl(server: Server): string | undefined {
  const address = server.address();
  if (address === null || typeof address === 'string') return undefined;
  const host = address.address === '::' || address.address === '0.0.0.0' ? '127.0.0.1' : address.address;
  return `http://${isIPv6(host) ? `[${host}]` : host}:${address.port}`;
}

async function takeOver(server: Server, fd: number, option: string): Promise<void> {
  const refuse = (why: string, cause?: unknown): never => {
    throw new StartError(`the socket that is passed for ${option} cannot be used: ${why}`, cause);
  };
  try {
    await bind(server, { fd });
  } catch (error) {
    refuse(error instanceof Error ? error.message : String(error), error);
  }
  if (addressUrl(server) === undefined) refuse('it is not of TCP');
}

/** What the user named may be anything: only a socket that nobody serves is replaced. */
async function refuseForeign(path: string): Promise<void> {
  const there = await lstat(path).catch(() => undefined); // bind says what is wrong with the path
  if (there && !there.isSocket()) throw new Error(`${path} is there and is no socket`);
  const other = await connectControl([path]);
  if (!other) return;
  const { pid, directory } = await other.status();
  throw new Error(`${path} belongs to the hubcap with process id ${pid} and the data directory ${directory}`);
}

type Where = { host?: string; port: number } | { path: string } | { fd: number };

function bind(server: Server, where: Where): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** @returns whether a listening server is reached from this machine alone */
export function isLocal(server: Server): boolean {
  const address = server.address();
  return typeof address === 'object' && isLoopback(address?.address);
}

/** Who usually has the ports that registries like. */
const USUAL_OWNERS: Record<number, string> = {
  5000: 'another registry, or AirPlay Receiver on macOS',
  5001: 'another registry',
  80: 'a web server',
  443: 'a web server',
  9090: 'Prometheus',
};

function explainBindFailure(error: unknown, address: Address, option: string): StartError {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const shown = formatAddress(address);
  if (code === 'EADDRINUSE') {
    const owner = USUAL_OWNERS[address.port] ?? 'another hubcap';
    return new StartError(
      `${shown} is taken, usually by ${owner}: stop it ("ss -ltnp" or "lsof -i :${address.port}" names it), or choose another address with --${option} HOST:PORT`,
      error,
    );
  }
  if (code === 'EACCES') {
    return new StartError(
      `${shown}: not permitted to listen there; ports below 1024 need privileges: choose another with --${option}`,
      error,
    );
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return new StartError(
      `${shown}: this machine has no such address; give one of its own, or :${address.port} for all, with --${option}`,
      error,
    );
  }
  return new StartError(
    `${shown}: cannot listen there: ${error instanceof Error ? error.message : String(error)}`,
    error,
  );
}

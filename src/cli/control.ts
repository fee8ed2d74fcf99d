/** Owns how a command reaches the data: through the running daemon, or in this process where none runs. */
import { existsSync } from 'node:fs';
import { type Control, connectControl, type DaemonControl } from '../admin/control-client.ts';
import { controlPaths } from '../admin/control-path.ts';
import { DaemonLostError } from '../admin/daemon-lost-error.ts';
import type { Config } from '../config/schema.ts';
import { openLocalControl } from '../local-control.ts';
import { RefusedError } from '../refused-error.ts';
import { DirectoryInUseError } from '../store/lock.ts';
import { explainDirectory } from './explain-directory.ts';
import { ReportedError } from './reported-error.ts';

/**
 * Runs `work` on the running daemon or, where none runs, on the data directory.
 * @param creates whether a data directory that is not there is made
 * @throws ReportedError where neither can be had, or what is asked for is refused
 */
export async function withControl<T>(
  config: Config,
  version: string,
  work: (control: Control) => Promise<T>,
  { creates = false } = {},
): Promise<T> {
  const paths = controlPaths(config.storage.directory, config.control);
  const control = (await connect(paths)) ?? (await openLocal(config, version, paths, creates));
  try {
    return await work(control);
  } catch (error) {
    throw explainAsking(error);
  } finally {
    await control.close();
  }
}

/**
 * Runs `work` on the running daemon.
 * @param advice what to do where none runs
 * @throws ReportedError where none runs
 */
export async function withDaemon<T>(
  { storage, control: override }: Config,
  advice: string,
  work: (daemon: DaemonControl) => Promise<T>,
): Promise<T> {
  const daemon = await connect(controlPaths(storage.directory, override));
  if (!daemon) throw new ReportedError(`no hubcap runs with ${storage.directory}: ${advice}`);
  try {
    return await work(daemon);
  } catch (error) {
    throw explainAsking(error);
  } finally {
    await daemon.close();
  }
}

async function connect(paths: readonly string[]): Promise<DaemonControl | undefined> {
  try {
    return await connectControl(paths);
  } catch (error) {
    throw explainAsking(error);
  }
}

/** @returns the error as a user can read it, or as it was where it is none of a daemon */
function explainAsking(error: unknown): unknown {
  if (error instanceof RefusedError || error instanceof DaemonLostError)
    return new ReportedError(error.message, error);
  if (!isForbiddenSocket(error)) return error;
  return new ReportedError(
    `the running hubcap cannot be asked (${error.message}): run the command as the user that hubcap runs as, or as root`,
    error,
  );
}

function isForbiddenSocket(error: unknown): error is NodeJS.ErrnoException {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return false;
  return error.code === 'EACCES' && error.syscall === 'connect';
}

async function openLocal(
  config: Config,
  version: string,
  paths: readonly string[],
  creates: boolean,
): Promise<Control> {
  const { directory } = config.storage;
  if (!creates && !existsSync(directory)) {
    throw new ReportedError(
      `${directory} is not there: no hubcap has run with it; name its data directory with --data DIR`,
    );
  }
  try {
    return await openLocalControl(config, version);
  } catch (error) {
    if (!(error instanceof DirectoryInUseError)) throw explainDirectory(error, config);
    throw new ReportedError(
      `${error.message}, which does not answer on ${paths.join(' or ')}: it is starting or stopping, or has its socket elsewhere (--control)`,
      error,
    );
  }
}

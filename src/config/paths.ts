/** Owns where hubcap looks for its files when it is not told, and what a written path means. */
import { isAbsolute, join, resolve } from 'node:path';

/** What paths are derived from. `homedir` is the account's, from the user database; `HOME` goes before it. */
export interface Surroundings {
  env: NodeJS.ProcessEnv;
  homedir: string;
  cwd: string;
  /** The user id, where the system has one. */
  uid: number | undefined;
}

/** The user's cache directory: `$XDG_CACHE_HOME/hubcap`, else `~/.cache/hubcap`; for root without HOME `/var/cache/hubcap`. */
export function defaultDataDirectory(around: Surroundings): string {
  const cache = xdgDirectory(around.env.XDG_CACHE_HOME);
  if (cache !== undefined) return join(cache, 'hubcap');
  const isService = !around.env.HOME && (around.uid === 0 || ['', '/'].includes(around.homedir));
  return isService ? '/var/cache/hubcap' : join(home(around), '.cache', 'hubcap');
}

/** Where a configuration file is looked for when none is given, the nearest first. */
export function configFileCandidates(around: Surroundings): string[] {
  const config = xdgDirectory(around.env.XDG_CONFIG_HOME) ?? join(home(around), '.config');
  return [join(around.cwd, 'hubcap.yaml'), join(config, 'hubcap', 'hubcap.yaml'), '/etc/hubcap/hubcap.yaml'];
}

/** Where the Docker command line keeps its logins. */
export function defaultDockerConfig(around: Surroundings): string {
  const directory = around.env.DOCKER_CONFIG;
  return directory
    ? resolve(around.cwd, directory, 'config.json')
    : join(home(around), '.docker', 'config.json');
}

/** A written path as an absolute one: `~/` is the user's home, anything relative counts from `base`. */
export function expandPath(written: string, base: string, around: Surroundings): string {
  if (written === '~' || written.startsWith('~/')) return join(home(around), written.slice(1));
  return resolve(base, written);
}

function home({ env, homedir }: Surroundings): string {
  return env.HOME || homedir || '/';
}

/** The XDG base directory specification has relative paths ignored. */
function xdgDirectory(value: string | undefined): string | undefined {
  return value !== undefined && isAbsolute(value) ? value : undefined;
}

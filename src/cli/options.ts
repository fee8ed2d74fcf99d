/** Owns the options that commands share, and the way from them to a configuration. */
import { homedir } from 'node:os';
import type { Argv } from 'yargs';
import { chooseFile, type Flags, loadConfig, type Sources } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type InheritedSockets, inheritedSockets } from '../listeners.ts';

/** Options that say which hubcap is meant. None has a default here: flags come before environment and file. */
export function withCommonOptions<T>(parser: Argv<T>) {
  return parser
    .option('config', {
      type: 'string',
      requiresArg: true,
      describe: 'configuration file (default: hubcap.yaml here, in ~/.config/hubcap or in /etc/hubcap)',
    })
    .option('data', {
      type: 'string',
      requiresArg: true,
      describe: 'data directory (default: hubcap in the cache directory of the user)',
    })
    .option('control', {
      type: 'string',
      requiresArg: true,
      describe: 'control socket (default: control.sock in the data directory)',
    });
}

/**
 * For `coerce` of an option that may be given again. yargs' own arrays take what follows too, and refuse `-`.
 * @returns all values in order
 */
export function allValues(value: string | string[] | undefined): string[] | undefined {
  return value === undefined ? undefined : [value].flat();
}

/** For `coerce` of an option that has one value. @throws Error for yargs where it was given again */
export function oneValue(value: string | string[] | undefined): string | undefined {
  if (Array.isArray(value)) throw new Error(`${value.join(' and ')}: say it once.`);
  return value;
}

/** @throws ConfigError with every problem */
export function configFrom(flags: Flags): Config {
  return configLoader(flags)();
}

/** @returns the configuration file that is asked for or found; undefined where there is none */
export function configFile(flags: Flags): string | undefined {
  return chooseFile(sourcesOf(flags))?.path;
}

/** @returns the variables of the environment, for files that have places for them */
export function environment(): Record<string, string> {
  return Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** @returns the sockets that systemd passes. @throws StartError where they cannot be told apart */
export function passedSockets(): InheritedSockets {
  return inheritedSockets(process.env, process.pid);
}

/**
 * @returns what reads the configuration, each time from the same sources: a file that was found once and is gone is
 *   then a problem, and does not mean the defaults
 */
export function configLoader(flags: Flags): () => Config {
  const sources = sourcesOf(flags);
  let file: string | undefined;
  return () => {
    file ??= chooseFile(sources)?.path;
    return loadConfig({ ...sources, file });
  };
}

function sourcesOf(flags: Flags): Sources {
  return {
    flags,
    env: process.env,
    isTty: process.stdout.isTTY === true,
    homedir: accountHome(),
    cwd: process.cwd(),
    uid: process.getuid?.(),
  };
}

/** @returns the account's home directory; empty where there is neither HOME nor an account: containers are run by any number */
export function accountHome(): string {
  try {
    return homedir();
  } catch {
    return '';
  }
}

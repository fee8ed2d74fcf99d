/** Owns loading: from what was written in flags, environment and file to a configuration, or to every problem with it. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { findConflicts, type NameOf } from './conflicts.ts';
import { parseYaml, readText, Unreadable } from './files.ts';
import { configFileCandidates } from './paths.ts';
import { ConfigError, type Problem } from './problems.ts';
import { type Reading, readSource } from './read-source.ts';
import { resolveConfig } from './resolve.ts';
import type { Config } from './schema.ts';
import {
  environmentSource,
  type Flags,
  fileSource,
  findUnknownVariables,
  flagsSource,
  type Source,
  valueAt,
} from './settings.ts';

export { ConfigError, type Problem } from './problems.ts';
export type { Flags } from './settings.ts';

/** Where the configuration comes from. */
export interface Sources {
  /** A file that was found before: that it is gone now is a problem. */
  file?: string | undefined;
  flags: Flags;
  env: NodeJS.ProcessEnv;
  /** Whether logs go to a terminal: then `auto` is `text`. */
  isTty: boolean;
  /** The account's home directory (`os.homedir()`), for where HOME is unset. */
  homedir: string;
  cwd: string;
  uid: number | undefined;
}

/** A configuration file that was asked for or found. */
interface ChosenFile {
  path: string;
  /** What asked for it; `undefined` where it was found. */
  askedBy?: string;
}

/**
 * The effective configuration: flags before environment before file before defaults. Reads the configuration file and
 * password files, blocking. Throws `ConfigError` with every problem of every source.
 */
export function loadConfig(sources: Sources): Config {
  const { env, flags, isTty, cwd } = sources;
  const problems: Problem[] = [];
  const chosen = chooseFile(sources);
  const file = chosen && readConfigFile(chosen, problems);
  const written = [
    flagsSource(flags, cwd),
    environmentSource(env, cwd),
    ...(file === undefined ? [] : [file]),
  ];
  const readings = written.map((source) => readSource(source, sources, problems));
  problems.push(...findUnknownVariables(env));
  const documents = readings.map(({ document }) => document);
  const config = resolveConfig(documents, sources, isTty);
  // Without the file that was meant, what the rest conflicts with is unknown.
  if (chosen === undefined || file !== undefined) {
    const faulty = new Set(problems.map(({ path }) => path));
    problems.push(...findConflicts(config, namer(readings), faulty));
  }
  if (problems.length > 0) throw new ConfigError(problems, chosen?.path);
  return config;
}

/** The file that is asked for or was found before, else the first that exists where one is looked for. */
export function chooseFile({ file, flags, ...around }: Sources): ChosenFile | undefined {
  const { config: fromFlag } = flags;
  if (fromFlag !== undefined) return { path: resolve(around.cwd, fromFlag), askedBy: '--config' };
  const fromEnv = around.env.HUBCAP_CONFIG;
  if (fromEnv) return { path: resolve(around.cwd, fromEnv), askedBy: 'HUBCAP_CONFIG' };
  const found = file ?? configFileCandidates(around).find((candidate) => existsSync(candidate));
  return found === undefined ? undefined : { path: found };
}

function readConfigFile({ path, askedBy }: ChosenFile, problems: Problem[]): Source | undefined {
  const text = readText(path);
  if (text instanceof Unreadable) {
    problems.push({
      path: askedBy ?? path,
      found: askedBy && path,
      expected: `a file that can be read (${text.reason})`,
    });
    return undefined;
  }
  const parsed = parseYaml(text, path);
  if ('tree' in parsed) return fileSource(parsed.tree, dirname(path));
  problems.push(parsed.problem);
  return undefined;
}

/** How the source that decides a key calls it; a key that nobody wrote goes by its name in the file. */
function namer(readings: readonly Reading[]): NameOf {
  return (key) => {
    const decider = readings.find(({ source }) => valueAt(source.tree, key) !== undefined);
    return decider === undefined ? fileSource({}, '').nameOf(key) : decider.source.nameOf(key);
  };
}

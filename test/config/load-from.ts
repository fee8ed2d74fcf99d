/** Loads configurations from what a test says was written, with surroundings that hold nothing else. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, type Flags, loadConfig, type Sources } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';

export interface Written extends Partial<Omit<Sources, 'flags' | 'env'>> {
  /** Text of the configuration file. */
  yaml?: string;
  flags?: Flags;
  env?: NodeJS.ProcessEnv;
}

/** The configuration; `directory` is home and working directory, and holds the file. */
export function loadFrom(directory: string, { yaml, flags = {}, env = {}, ...others }: Written = {}): Config {
  const file = yaml === undefined ? undefined : join(directory, 'written.yaml');
  if (file !== undefined && yaml !== undefined) writeFileSync(file, yaml);
  const around = { homedir: directory, cwd: directory, uid: 1000, isTty: false };
  return loadConfig({ ...around, file, flags, env: { HOME: directory, ...env }, ...others });
}

/** The error that loading ends in. */
export function failFrom(directory: string, written: Written): ConfigError {
  try {
    loadFrom(directory, written);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

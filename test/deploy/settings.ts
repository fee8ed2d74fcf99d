/** Owns what hubcap makes of the settings that files of deploy/ have. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { root } from './npm.ts';

/** The configuration of an environment. @throws ConfigError with every problem, an unknown variable among them */
export function loadFrom(env: Record<string, string>): Config {
  return loadConfig({ flags: {}, env, isTty: false, homedir: '/nonexistent', cwd: '/', uid: undefined });
}

/** The variables that the image sets. */
export async function environmentOfImage(): Promise<Record<string, string>> {
  const text = await readFile(join(root, 'deploy/Dockerfile'), 'utf8');
  const [, pairs = ''] = /^ENV (.*)$/m.exec(text) ?? [];
  return Object.fromEntries(pairs.split(' ').map((pair) => pair.split('=') as [string, string]));
}

/** Owns what commands of the air gap need in tests: a configuration with a registry of the test, and a place for files. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { run } from './command.ts';
import { imageOf, indexOf } from './content.ts';
import { makeDirectory } from './mirror.ts';
import { type Registry, startRegistry } from './registry.ts';

export interface Side {
  registry: Registry;
  /** for files of the test, and the data directory */
  directory: string;
  data: string;
  /** options that say which hubcap is meant */
  flags: string[];
  path(name: string): string;
}

/** A data directory that is not there yet, and the configuration of a hubcap whose `registry.test` is the test's. */
export async function makeSide(t: Test, known?: Registry, settings = ''): Promise<Side> {
  const registry = known ?? (await startRegistry(t));
  const directory = await makeDirectory(t);
  const path = (name: string): string => join(directory, name);
  const document = [
    'upstreams:',
    `  registry.test: { url: '${registry.url}', retries: 0, tagTtl: 1s }`,
    `  docker.io: { url: '${registry.url}', retries: 0 }`,
    settings,
  ];
  await writeFile(path('hubcap.yaml'), `${document.join('\n')}\n`);
  const data = path('data');
  return { registry, directory, data, flags: ['--config', path('hubcap.yaml'), '--data', data], path };
}

/** Two platforms of one application, and another that has one. */
export const [amd64, arm64, other] = [
  imageOf('app for amd64', [100_000, 30_000]),
  imageOf('app for arm64', [90_000]),
  imageOf('other', [50_000]),
];
export const index = indexOf({ amd64, arm64 });

export function pushImages(registry: Registry): void {
  registry.push('team/app', index, 'v1');
  registry.push('team/other', other, 'latest');
}

export const APP = 'registry.test/team/app:v1';
export const OTHER = 'registry.test/team/other:latest';

/** What was fetched and pinned outside. */
export async function outside(t: Test): Promise<Side> {
  const side = await makeSide(t);
  pushImages(side.registry);
  const { code, stderr } = await run('prewarm', APP, OTHER, '--platform', 'all', '--pin', ...side.flags);
  t.equal(code, 0, stderr);
  return side;
}

/** Where no registry can be reached. */
export async function inside(t: Test): Promise<Side> {
  const side = await makeSide(t, undefined, 'offline: true');
  await side.registry.close();
  return side;
}

/** Owns hubcap as it is deployed: the compiled build, its defaults, JSON lines at level info into a file. */
import { readdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { type Server, startServer } from '../processes.ts';
import type { Teardown } from '../teardown.ts';

export interface HubcapOptions {
  upstreamUrl: string;
  /** an empty one unless given */
  dataDirectory?: string;
  /** a free one unless given */
  port?: number;
  /** the budget; hubcap's default unless given */
  maxSize?: string;
  /** further configuration of the upstream, and of the listener */
  upstream?: object;
  http?: object;
}

export interface Hubcap {
  server: Server;
  url: string;
  adminUrl: string;
  dataDirectory: string;
}

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

const sources = fileURLToPath(new URL('../../src/', import.meta.url));

/** Whether `npm run build` was run, and nothing in `src/` was changed since. */
export function isBuilt(): boolean {
  const builtAt = statSync(main, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAt === undefined) return false;
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' });
  return files.every((file) => statSync(join(sources, file)).mtimeMs <= builtAt);
}

/** Starts hubcap in front of one upstream and waits until it says that it serves. */
export async function startHubcap(teardown: Teardown, options: HubcapOptions): Promise<Hubcap> {
  const { server, dataDirectory } = await spawnHubcap(teardown, options);
  const [, url = '', adminUrl = ''] = await server.said(
    /"listen":"(http:[^"]+)","admin":"(http:[^"]+)".*"msg":"ready"/,
  );
  return { server, url, adminUrl, dataDirectory };
}

/** Starts hubcap without waiting for it. */
export async function spawnHubcap(
  teardown: Teardown,
  { upstreamUrl, port = 0, dataDirectory, maxSize, upstream, http }: HubcapOptions,
): Promise<{ server: Server; dataDirectory: string }> {
  const home = await teardown.directory('hubcap');
  const directory = dataDirectory ?? join(home, 'data');
  const config = join(home, 'hubcap.yaml');
  await writeFile(
    config,
    stringify({
      listen: `127.0.0.1:${port}`,
      admin: '127.0.0.1:0',
      storage: { directory, ...(maxSize !== undefined && { maxSize }) },
      upstreams: { 'docker.io': { url: upstreamUrl, realms: ['127.0.0.1'], ...upstream } },
      ...(http && { http }),
      log: { level: 'info', format: 'json' },
    }),
  );
  const server = await startServer(teardown, {
    command: process.execPath,
    args: [main, 'serve', '--config', config],
    logFile: join(home, 'hubcap.log'),
    home,
  });
  return { server, dataDirectory: directory };
}

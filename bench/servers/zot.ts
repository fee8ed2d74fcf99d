/** Owns zot with its sync extension on demand, as a mirror of one registry. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort, type Server, startServer } from '../processes.ts';
import type { Teardown } from '../teardown.ts';
import { waitUntilAnswered } from './listening.ts';

export interface ZotOptions {
  command: string;
  upstreamUrl: string;
  /** an empty one unless given */
  storage?: string | undefined;
}

export async function startZot(
  teardown: Teardown,
  { command, upstreamUrl, storage }: ZotOptions,
): Promise<{ server: Server; url: string; storage: string }> {
  const home = await teardown.directory('zot');
  const rootDirectory = storage ?? join(home, 'storage');
  await mkdir(rootDirectory, { recursive: true });
  const port = await findFreePort();
  const config = join(home, 'config.json');
  await writeFile(config, JSON.stringify(describe(rootDirectory, port, upstreamUrl)));
  const server = await startServer(teardown, {
    command,
    args: ['serve', config],
    logFile: join(home, 'zot.log'),
    home,
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilAnswered(server, `${url}/v2/`);
  return { server, url, storage: rootDirectory };
}

/** As its documentation sets up a mirror on demand that leaves digests as they are; its own defaults otherwise. */
function describe(rootDirectory: string, port: number, upstreamUrl: string): object {
  return {
    distSpecVersion: '1.1.1',
    storage: { rootDirectory },
    http: { address: '127.0.0.1', port: String(port), compat: ['docker2s2'] },
    log: { level: 'info' },
    extensions: {
      sync: {
        enable: true,
        registries: [
          {
            urls: [upstreamUrl],
            onDemand: true,
            tlsVerify: false,
            preserveDigest: true,
            maxRetries: 3,
            retryDelay: '1s',
            content: [{ prefix: '**' }],
          },
        ],
      },
    },
  };
}

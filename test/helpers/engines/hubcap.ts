/** Owns hubcap itself as a child process, set up in front of one upstream. */

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { request } from 'undici';
import { stringify } from 'yaml';
import { type MetricsPage, parsePrometheus } from './metrics-page.ts';
import { makeDirectory } from './needs.ts';
import { startProgram } from './program.ts';

export interface HubcapOptions {
  upstreamUrl: string;
  /** The name by which clients mean that upstream: `docker.io`, the default upstream, unless given. */
  upstreamHost?: string;
  /** The data of a hubcap that ran before; an empty directory otherwise. */
  dataDirectory?: string;
  tagTtl?: string;
  /** Further upstreams, or settings of the one, as the configuration writes them. */
  upstreams?: Record<string, object>;
  /** Whether it asks no upstream at all. */
  offline?: boolean;
}

export interface Hubcap {
  url: string;
  adminUrl: string;
  dataDirectory: string;
  /** `127.0.0.1:PORT`, as container engines name a registry. */
  host: string;
  metrics(): Promise<MetricsPage>;
  stop(): Promise<void>;
}

/** `HUBCAP_MAIN=dist/main.js` tests what is published. */
export const main =
  process.env.HUBCAP_MAIN ?? fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

/** Starts hubcap on free ports and waits until it says that it serves. A test that fails shows its log. */
export async function startHubcap(t: Test, options: HubcapOptions): Promise<Hubcap> {
  const directory = await makeDirectory(t, 'e2e');
  const dataDirectory = options.dataDirectory ?? join(directory, 'data');
  const file = join(directory, 'hubcap.yaml');
  await writeFile(file, stringify(configure(options, dataDirectory)));
  // No settings and no logins of whoever runs the tests: HOME is empty.
  const program = startProgram(t, process.execPath, [main, 'serve', '--config', file], {
    env: { HOME: directory },
  });
  t.teardown(() => {
    if (!t.passing()) t.comment(`hubcap's log:\n${program.lines.slice(-100).join('\n')}`);
  });
  const [ready] = await program.line(/^\{.*"msg":"ready".*\}$/);
  const { listen, admin } = JSON.parse(ready) as { listen: string; admin: string };
  return {
    url: listen,
    adminUrl: admin,
    dataDirectory,
    host: new URL(listen).host,
    async metrics() {
      const { body } = await request(new URL('/metrics', admin));
      return parsePrometheus(await body.text());
    },
    stop: () => program.stop(),
  };
}

function configure(
  { upstreamUrl, upstreamHost, tagTtl, upstreams, offline = false }: HubcapOptions,
  directory: string,
): object {
  const upstream = { url: upstreamUrl, realms: ['127.0.0.1'], ...(tagTtl === undefined ? {} : { tagTtl }) };
  return {
    listen: '127.0.0.1:0',
    admin: '127.0.0.1:0',
    storage: { directory, maxSize: '4GiB', minFree: '0B' },
    // No test may reach the real Docker Hub: where it is not the upstream, nobody listens there.
    upstreams: {
      'docker.io': { url: 'http://127.0.0.1:9' },
      [upstreamHost ?? 'docker.io']: upstream,
      ...upstreams,
    },
    offline,
    log: { level: 'info', format: 'json' },
  };
}

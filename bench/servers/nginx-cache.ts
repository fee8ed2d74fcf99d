/** Owns nginx as a generic cache of a registry: the directives that docker-registry-proxy is made of, in front of one upstream. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort, type Server, startServer } from '../processes.ts';
import type { Teardown } from '../teardown.ts';
import { waitUntilAnswered } from './listening.ts';

export interface NginxCacheOptions {
  upstreamUrl: string;
  /** an empty one unless given */
  storage?: string | undefined;
  /** how long a tag is believed */
  tagTtlSeconds: number;
  /** `max_size`; none unless given */
  budgetBytes?: number | undefined;
  /** fetches blobs in pieces of this size (ngx_http_slice_module); whole unless given */
  sliceBytes?: number | undefined;
}

/** A master, a worker and the process that keeps the cache within its size. */
export async function startNginxCache(
  teardown: Teardown,
  options: NginxCacheOptions,
): Promise<{ server: Server; url: string; storage: string }> {
  const home = await teardown.directory('nginx-cache');
  const storage = options.storage ?? join(home, 'cache');
  await mkdir(storage, { recursive: true });
  const port = await findFreePort();
  const config = join(home, 'nginx.conf');
  await writeFile(config, describe(home, storage, port, options));
  const server = await startServer(teardown, {
    command: 'nginx',
    args: ['-p', home, '-e', join(home, 'error.log'), '-c', config],
    logFile: join(home, 'nginx.log'),
    home,
  });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilAnswered(server, `${url}/healthz`);
  return { server, url, storage };
}

/**
 * One download for all who ask at once, and the rest waits for it (`proxy_cache_lock`); what upstream cannot confirm is
 * served as it was (`proxy_cache_use_stale`).
 */
function describe(
  home: string,
  storage: string,
  port: number,
  { upstreamUrl, tagTtlSeconds, budgetBytes, sliceBytes }: NginxCacheOptions,
): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const most = budgetBytes === undefined ? '' : ` max_size=${budgetBytes}`;
  const sliced = `slice ${sliceBytes}; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range;`;
  return `
daemon off; worker_processes 1; pid ${home}/pid;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http {
  access_log ${home}/access.log;
  ${temporary.map((name) => `${name}_temp_path ${home}/${name};`).join(' ')}
  keepalive_requests 1000000;
  sendfile on; tcp_nopush on;
  proxy_cache_path ${storage} levels=1:2 keys_zone=cache:10m inactive=60d${most} use_temp_path=off;
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1; proxy_read_timeout 900;
    proxy_cache cache; proxy_cache_key $uri;
    proxy_cache_lock on; proxy_cache_lock_timeout 880s; proxy_cache_lock_age 880s;
    proxy_cache_valid 200 206 60d;
    proxy_force_ranges on; proxy_ignore_client_abort on; proxy_cache_revalidate on;
    proxy_cache_use_stale error timeout invalid_header http_500 http_502 http_503 http_504 http_429;
    location = /healthz { return 200 ok; }
    location / { proxy_pass ${upstreamUrl}; }
    location ~ /blobs/sha256: { ${sliceBytes === undefined ? '' : sliced} proxy_pass ${upstreamUrl}; }
    location ~ /manifests/[^:]*$ { proxy_cache_valid 200 ${tagTtlSeconds}s; proxy_pass ${upstreamUrl}; }
  }
}
`;
}

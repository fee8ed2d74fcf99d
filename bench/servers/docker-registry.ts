/** Owns distribution, Debian's `docker-registry` or another build, as an upstream that anyone may read and as a proxy of one. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Server, startServer } from '../processes.ts';
import type { Teardown } from '../teardown.ts';

export interface DockerRegistry {
  server: Server;
  url: string;
}

/**
 * Starts a registry on a free port.
 * @param remoteUrl makes it a proxy of that registry
 * @param storage of one that ran before; an empty one unless given
 * @param command Debian's unless given
 */
export async function startDockerRegistry(
  teardown: Teardown,
  remoteUrl?: string,
  storage?: string,
  command = 'docker-registry',
): Promise<DockerRegistry> {
  const home = await teardown.directory('registry');
  const rootdirectory = storage ?? join(home, 'storage');
  await mkdir(rootdirectory, { recursive: true });
  const config = join(home, 'config.yml');
  await writeFile(config, JSON.stringify(describe(rootdirectory, remoteUrl))); // JSON is YAML
  const server = await startServer(teardown, {
    command,
    args: ['serve', config],
    logFile: join(home, 'registry.log'),
    home,
    env: { OTEL_TRACES_EXPORTER: 'none' }, // version 3 looks for a collector otherwise
  });
  const [, address = ''] = await server.said(/listening on (127\.0\.0\.1:\d+)/);
  return { server, url: `http://${address}` };
}

/** As Debian's package sets it up, descriptor cache included, less the login. */
function describe(rootdirectory: string, remoteUrl: string | undefined): object {
  return {
    version: '0.1',
    log: { level: 'info', fields: { service: 'registry' } },
    storage: {
      cache: { blobdescriptor: 'inmemory' },
      filesystem: { rootdirectory },
      delete: { enabled: true },
    },
    http: {
      addr: '127.0.0.1:0',
      headers: { 'X-Content-Type-Options': ['nosniff'] },
      secret: 'not a secret',
    },
    health: { storagedriver: { enabled: true, interval: '10s', threshold: 3 } },
    ...(remoteUrl !== undefined && { proxy: { remoteurl: remoteUrl } }),
  };
}

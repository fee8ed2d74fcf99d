/** Owns nginx with one process, serving a directory with `sendfile` and without. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort, type Server, startServer } from '../processes.ts';
import type { Teardown } from '../teardown.ts';

export interface Nginx {
  server: Server;
  /** the directory, read into buffers and written */
  copiedUrl: string;
  /** the directory, by sendfile(2) */
  sendfileUrl: string;
}

export async function startNginx(teardown: Teardown, directory: string): Promise<Nginx> {
  const home = await teardown.directory('nginx');
  const port = await findFreePort();
  const config = join(home, 'nginx.conf');
  await writeFile(config, describe(home, directory, port));
  const server = await startServer(teardown, {
    command: 'nginx',
    args: ['-p', home, '-e', join(home, 'error.log'), '-c', config],
    logFile: join(home, 'nginx.log'),
    home,
  });
  const url = `http://127.0.0.1:${port}`;
  await waitFor(`${url}/`);
  return { server, copiedUrl: `${url}/copied`, sendfileUrl: `${url}/sendfile` };
}

function describe(home: string, directory: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off; master_process off; worker_processes 1; pid ${home}/pid;
events { worker_connections 1024; }
http {
  access_log ${home}/access.log;
  ${temporary.map((name) => `${name}_temp_path ${home}/${name};`).join(' ')}
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:${port};
    location /copied/ { alias ${directory}/; sendfile off; }
    location /sendfile/ { alias ${directory}/; sendfile on; tcp_nopush on; }
  }
}
`;
}

/** nginx does not say when it listens. */
async function waitFor(url: string): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      await (await fetch(url)).arrayBuffer();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** deploy/tls/nginx.conf stands between clients and hubcap as its README says, and changes nothing. */

import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { makeCertificates } from '../helpers/certificates.ts';
import { blobOf, imageOf, KIB, MIB } from '../helpers/content.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram, startProgram } from '../helpers/engines/program.ts';
import { findQuietAddress } from '../helpers/engines/registry.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';
import { root } from './npm.ts';

const needed = ['nginx', 'openssl'] as const;

t.test('what comes through TLS is what hubcap says, to the byte', async (t) => {
  if (!needs(t, ...needed)) return;
  const { mirror, registry, other, ask } = await startFront(t);
  const image = imageOf('through', [200 * KIB, 10]);
  other.push('team/app', imageOf('by ns', [10]), 'v1');
  registry.push('library/app', image, 'latest');
  t.equal((await ask('/v2/')).status, 200);
  for (const path of [
    '/v2/library/app/manifests/latest',
    '/v2/team/app/manifests/v1?ns=other.test',
    `/v2/library/app/blobs/${image.layers[0]?.digest}`,
    '/v2/library/app/tags/list?n=1',
    '/v2/library/none/manifests/latest',
    '/v2/library/app/manifests/..%2Flatest',
    '/v2/library//app/manifests/latest',
  ]) {
    await mirror.get(path);
    await mirror.settled(); // from now on it is known, and here
    const [direct, through] = [await mirror.get(path), await ask(path)];
    t.equal(through.status, direct.status, `${path}: ${direct.status}`);
    t.ok(through.body.equals(direct.body), 'the same bytes');
    for (const name of [
      'content-type',
      'content-length',
      'docker-content-digest',
      'etag',
      'cache-status',
      'accept-ranges',
    ])
      t.equal(through.headers[name], direct.headers[name], name);
  }
  const blob = `/v2/library/app/blobs/${image.layers[0]?.digest}`;
  const part = await ask(blob, { headers: { range: 'bytes=1000-1999', 'accept-encoding': 'gzip' } });
  t.equal(part.status, 206);
  t.equal(part.headers['content-range'], `bytes 1000-1999/${200 * KIB}`);
  t.ok(part.body.equals(image.layers[0]?.body.subarray(1000, 2000) ?? Buffer.alloc(0)));
  const head = await ask(blob, { method: 'HEAD' });
  t.equal(head.headers['content-length'], String(200 * KIB));
  t.equal(
    (await ask('/v2/library/app/blobs/uploads/', { method: 'POST' })).status,
    405,
    'as hubcap refuses it',
  );
  const large = { method: 'PUT', body: Buffer.alloc(64 * KIB) } as const;
  t.equal((await ask('/v2/library/app/manifests/latest', large)).status, 413, 'nothing large is taken');
});

t.test('a host of its own selects an upstream through TLS', async (t) => {
  if (!needs(t, ...needed)) return;
  const { other, ask } = await startFront(t);
  const image = imageOf('elsewhere', [10]);
  other.push('team/app', image, 'v1');
  const { status, headers } = await ask('/v2/team/app/manifests/v1', {
    headers: { host: 'localhost' },
  });
  t.equal(status, 200);
  t.equal(headers['docker-content-digest'], image.manifest.digest);
});

t.test('bytes go on while the download still runs', async (t) => {
  if (!needs(t, ...needed)) return;
  const { registry, open } = await startFront(t);
  const blob = blobOf(8 * MIB, 'flowing');
  registry.push('library/app', blob);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(4 * MIB, gate.opened)));
  const { body } = await open(`/v2/library/app/blobs/${blob.digest}`);
  const chunks: Buffer[] = [];
  const ended = (async () => {
    for await (const chunk of body) chunks.push(chunk);
  })();
  // hubcap holds the last 64 KiB back; what upstream has sent before the stop is with the client but for what is on its way.
  await until('the client has what there is', () => Buffer.concat(chunks).length > 3 * MIB, 10);
  gate.open();
  await ended;
  t.ok(Buffer.concat(chunks).equals(blob.body));
});

t.test('skopeo copies an image through TLS', async (t) => {
  if (!needs(t, ...needed, ...skopeoNeeds)) return;
  const { registry, host, caFile } = await startFront(t);
  const image = imageOf('copied', [300 * KIB, 20 * KIB]);
  registry.push('library/app', image, '1.0');
  const directory = await makeDirectory(t, 'copy');
  const trusted = join(directory, 'certs');
  await mkdir(trusted);
  const skopeo = await makeSkopeo(t);
  const copy = () =>
    skopeo('copy', `--src-cert-dir=${trusted}`, `docker://${host}/library/app:1.0`, `dir:${directory}/copy`);
  await t.rejects(copy(), 'not from whom it does not trust');
  await copyFile(caFile, join(trusted, 'ca.crt'));
  await copy();
  t.ok((await readFile(join(directory, 'copy/manifest.json'))).equals(image.manifest.body));
  for (const { digest, body } of image.layers)
    t.ok((await readFile(join(directory, 'copy', digest.slice('sha256:'.length)))).equals(body), digest);
});

interface Front {
  mirror: RunningMirror;
  /** the default upstream, and one more */
  registry: Registry;
  other: Registry;
  host: string;
  caFile: string;
  open(path: string, options?: Asking): ReturnType<typeof request>;
  ask(path: string, options?: Asking): Promise<Answered>;
}

interface Asking {
  method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  headers?: Record<string, string>;
  body?: Buffer;
}

interface Answered {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Starts nginx with the file, in front of a hubcap with two upstreams. */
async function startFront(t: Test): Promise<Front> {
  const [registry, other] = [await startRegistry(t), await startRegistry(t)];
  const mirror = await startMirror(t, {
    upstreams: {
      'registry.test': { at: registry },
      'other.test': { at: other, virtualHosts: ['localhost'] },
    },
  });
  const directory = await makeDirectory(t, 'nginx');
  const host = await findQuietAddress();
  const { ca, server } = makeCertificates(directory, host.split(':')[0]);
  const changes: [from: string, to: string][] = [
    ['listen 443 ssl;', `listen ${host} ssl;`],
    ['127.0.0.1:5000;', `${new URL(mirror.url).host};`],
    ['/etc/hubcap/tls/cert.pem', server.certFile],
    ['/etc/hubcap/tls/key.pem', server.keyFile],
  ];
  let site = await readFile(join(root, 'deploy/tls/nginx.conf'), 'utf8');
  for (const [from, to] of changes) {
    if (site.split(from).length !== 2) throw new Error(`${from} is not there once`);
    site = site.replace(from, to);
  }
  const file = join(directory, 'nginx.conf');
  await writeFile(file, around(directory, site));
  const flags = ['-p', directory, '-c', file, '-e', 'stderr'];
  const { code, stderr } = await runProgram(t, 'nginx', [...flags, '-t']);
  t.equal(code, 0, stderr);
  t.notMatch(stderr, /\[(warn|error|emerg)\]/);
  const nginx = startProgram(t, 'nginx', [...flags, '-g', 'daemon off;']);
  await nginx.line(/start worker process \d+/);
  const dispatcher = new Agent({ connect: { ca: ca.cert } });
  t.teardown(() => dispatcher.destroy());
  const open = (path: string, options: Asking = {}) =>
    request(`https://${host}${path}`, { ...options, dispatcher });
  return {
    mirror,
    registry,
    other,
    host,
    caFile: ca.certFile,
    open,
    async ask(path, options) {
      const { statusCode, headers, body } = await open(path, options);
      return { status: statusCode, headers, body: Buffer.from(await body.arrayBuffer()) };
    },
  };
}

/** What Debian has around a site. */
function around(directory: string, site: string): string {
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const temporary = places.map((name) => `${name}_temp_path ${directory}/${name};`).join('\n');
  return `
pid ${directory}/pid;
worker_processes 1;
error_log stderr notice;
events { worker_connections 64; }
http {
${temporary}
${site}
}
`;
}

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import t from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { readSmall, Transport } from '../../src/upstream/transport.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

t.test('an upstream that offers HTTP/2 is spoken to in HTTP/1.1', { skip: !hasOpenssl }, async (t) => {
  const directory = t.testdir();
  const [keyFile, certFile] = [join(directory, 'key.pem'), join(directory, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certFile, ...subject], { stdio: 'ignore' });
  const cert = readFileSync(certFile, 'utf8');
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, cert]);
  t.teardown(() => setDefaultCACertificates(before));

  const versions: string[] = [];
  const server = createSecureServer({ key: readFileSync(keyFile), cert, allowHTTP1: true });
  server.on('request', ({ httpVersion }, response) => {
    versions.push(httpVersion);
    response.end('answered');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const transport = new Transport({
    connections: 2,
    connectMs: 5_000,
    headersMs: 5_000,
    idleMs: 5_000,
    proxy: {},
    own: url,
    tls: upstreamDefaults.tls,
    offline: new OfflineSwitch(false),
  });
  t.teardown(async () => {
    await transport.close();
    server.close();
  });
  const { signal } = new AbortController();
  for (const lane of ['short', 'blob'] as const) {
    const answer = await transport.send({ method: 'GET', url, headers: {}, signal, lane });
    t.equal((await readSmall(answer, url.host, 100)).toString(), 'answered');
  }
  t.same(versions, ['1.1', '1.1']);
});

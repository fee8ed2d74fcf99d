import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { fetch } from '../helpers/client.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

function ask(socketPath: string, method: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, method, path, agent: false }, async (response) => {
      resolve({ status: response.statusCode ?? 0, body: await text(response) });
    });
    call.on('error', reject).end();
  });
}

t.test('each path has its verb; what is not understood changes nothing', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const socket = join(mirror.directory, 'control.sock');
  const cases: [method: string, path: string, status: number, says: RegExp][] = [
    ['GET', '/v1/status', 200, /"isOffline":false/],
    ['HEAD', '/v1/status', 200, /^$/],
    ['POST', '/v1/status', 405, /use GET/],
    ['GET', '/v1/offline?state=on', 405, /use POST/],
    ['HEAD', '/v1/offline?state=on', 405, /^$/],
    ['POST', '/v1/offline', 400, /state=on or state=off/],
    ['POST', '/v1/offline?state=maybe', 400, /state=on or state=off/],
    ['DELETE', '/v1/misses/clear', 405, /use POST/],
    ['GET', '/v1/misses', 200, /^$/],
    ['GET', '/v1/misses/clear', 405, /use POST/],
    ['GET', '/constructor', 404, /\/v1\/misses/],
  ];
  for (const [method, path, status, says] of cases) {
    const answer = await ask(socket, method, path);
    t.equal(answer.status, status, `${method} ${path}`);
    t.match(answer.body, says, `${method} ${path}`);
  }
  t.equal(mirror.status().isOffline, false);
});

t.test('over TCP nothing is changed, and no image is named', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, offline: true });
  await mirror.manifest('/v2/team/secret/manifests/latest');
  for (const path of ['/v1/offline?state=off', '/v1/misses/clear', '/api/status', '/'])
    t.match(await fetch(mirror.admin + path, { method: 'POST' }), { status: 405 }, path);
  t.equal((await fetch(`${mirror.admin}/v1/misses`)).status, 404);
  for (const path of ['/api/status', '/metrics'])
    t.notMatch((await fetch(mirror.admin + path)).body.toString(), 'team/secret');
  t.equal(mirror.status().isOffline, true);
});

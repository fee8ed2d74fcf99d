import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { PageFiles } from '../../src/admin/page-files.ts';
import { fetch } from '../helpers/client.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

t.test('the page comes whole, compressed where it is taken, and once', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  for (const [path, type] of [
    ['/', 'text/html; charset=utf-8'],
    ['/page.js', 'text/javascript; charset=utf-8'],
    ['/style.css', 'text/css; charset=utf-8'],
    ['/icon.svg', 'image/svg+xml'],
  ] as const) {
    const plain = await fetch(mirror.admin + path, {});
    t.equal(plain.status, 200, path);
    t.equal(plain.headers['content-type'], type);
    t.notOk(plain.headers['content-encoding']);
    t.match(plain.headers['content-security-policy'], /^default-src 'none'; script-src 'self'/);
    t.equal(plain.headers['x-content-type-options'], 'nosniff');
    const packed = await fetch(mirror.admin + path, { headers: { 'accept-encoding': 'br, gzip' } });
    t.equal(packed.headers['content-encoding'], 'gzip');
    t.same(gunzipSync(packed.body), plain.body);
    const unwanted = await fetch(mirror.admin + path, { headers: { 'accept-encoding': 'gzip;q=0' } });
    t.notOk(unwanted.headers['content-encoding']);
    const etag = String(plain.headers.etag);
    const known = await fetch(mirror.admin + path, { headers: { 'if-none-match': etag } });
    t.equal(known.status, 304);
    t.equal(known.headers.etag, etag);
    t.equal(known.body.length, 0);
    const other = createHash('sha256').update('other').digest('hex');
    t.equal((await fetch(mirror.admin + path, { headers: { 'if-none-match': `"${other}"` } })).status, 200);
  }
});

t.test('a page that was not built says how to build it', async (t) => {
  const page = new PageFiles(join(await makeDirectory(t), 'nothing'));
  const answer = page.answer('index.html', { address: '127.0.0.1', headers: {}, httpVersion: '1.1' });
  t.match(answer, { status: 503, body: /npm run build/ });
});

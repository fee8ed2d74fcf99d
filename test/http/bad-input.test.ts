import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { open } from '../helpers/client.ts';
import { blobOf, imageOf, KIB, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { exchangeRaw, parseAnswer } from '../helpers/raw.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const hex = 'a'.repeat(64);
const digest = `sha256:${hex}`;
const image = imageOf('good', [100]);

/** What follows the method, and the statuses that say what is wrong. */
const targets: [name: string, target: string, status: number, code?: string][] = [
  ['traversal', '/v2/../../etc/passwd', 404],
  ['traversal in a name', '/v2/library/../../etc/manifests/latest', 400, 'NAME_INVALID'],
  ['traversal in a reference', '/v2/library/app/manifests/..', 400, 'TAG_INVALID'],
  ['traversal in a digest', '/v2/library/app/blobs/sha256:../../../etc/passwd', 404],
  ['escaped traversal', '/v2/library/%2e%2e/manifests/latest', 400, 'NAME_INVALID'],
  ['escaped slashes', '/v2/library%2fapp/manifests/latest', 400, 'NAME_INVALID'],
  ['escaped traversal in a digest', `/v2/library/app/blobs/sha256:%2e%2e%2f${hex}`, 400, 'DIGEST_INVALID'],
  ['twice escaped', '/v2/library/%252e%252e/manifests/latest', 400, 'NAME_INVALID'],
  ['a null byte', '/v2/library/app%00/manifests/latest', 400, 'NAME_INVALID'],
  ['backslashes', '/v2/library\\..\\app/manifests/latest', 400, 'NAME_INVALID'],
  ['upper case', '/v2/library/App/manifests/latest', 400, 'NAME_INVALID'],
  ['an empty component', '/v2/library//app/manifests/latest', 400, 'NAME_INVALID'],
  ['no name', '/v2//manifests/latest', 400, 'NAME_INVALID'],
  ['no name at all', '/v2/manifests/latest', 404],
  ['a name too long', `/v2/${'a/'.repeat(128)}a/manifests/latest`, 400, 'NAME_INVALID'],
  ['a separator at the end', '/v2/library/app-/manifests/latest', 400, 'NAME_INVALID'],
  ['a tag too long', `/v2/library/app/manifests/${'a'.repeat(129)}`, 400, 'TAG_INVALID'],
  ['a tag that begins with a dot', '/v2/library/app/manifests/.latest', 400, 'TAG_INVALID'],
  ['no tag', '/v2/library/app/manifests/', 400, 'TAG_INVALID'],
  ['a tag with a space', '/v2/library/app/manifests/a%20b', 400, 'TAG_INVALID'],
  ['a short digest', '/v2/library/app/manifests/sha256:abc', 400, 'DIGEST_INVALID'],
  ['an upper-case digest', `/v2/library/app/blobs/sha256:${'A'.repeat(64)}`, 400, 'DIGEST_INVALID'],
  ['another algorithm', `/v2/library/app/blobs/md5:${'a'.repeat(32)}`, 400, 'DIGEST_INVALID'],
  ['no digest', '/v2/library/app/blobs/latest', 400, 'DIGEST_INVALID'],
  ['a digest with more behind it', `/v2/library/app/blobs/${digest}x`, 400, 'DIGEST_INVALID'],
  ['a referrer of no digest', '/v2/library/app/referrers/latest', 400, 'DIGEST_INVALID'],
  ['a page of words', '/v2/library/app/tags/list?n=many', 400, 'UNSUPPORTED'],
  ['a negative page', '/v2/_catalog?n=-1', 400, 'UNSUPPORTED'],
  ['a foreign ns', `/v2/library/app/blobs/${digest}?ns=evil.example`, 404, 'NAME_UNKNOWN'],
  ['an ns with a port', '/v2/library/app/manifests/latest?ns=127.0.0.1:22', 404, 'NAME_UNKNOWN'],
  ['an ns that is a URL', '/v2/library/app/manifests/latest?ns=http://127.0.0.1/', 404, 'NAME_UNKNOWN'],
  ['an empty ns', '/v2/library/app/manifests/latest?ns=', 404, 'NAME_UNKNOWN'],
  ['an unknown host in the name', '/v2/evil.example/app/manifests/latest', 404, 'NAME_UNKNOWN'],
  ['an unknown host in front', '/evil.example/v2/library/app/manifests/latest', 404, 'NAME_UNKNOWN'],
  ['a whole URL', 'http://evil.example/v2/library/app/manifests/latest', 404, 'NAME_UNKNOWN'],
  ['another API', '/v1/search?q=alpine', 404],
  ['another path', '/', 404],
  ['something else below a name', '/v2/library/app/uploads/1', 404],
  ['a URL too long', `/v2/library/app/manifests/latest?x=${'a'.repeat(4000)}`, 414, 'UNSUPPORTED'],
];

const requests: [name: string, sent: string, status: number][] = [
  ['garbage', 'hello, is this a registry?\r\n\r\n', 400],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['no host', 'GET /v2/ HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
  ['a header without a colon', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n', 400],
  ['two lengths', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400],
  ['a header too large', `GET /v2/ HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20 * KIB)}\r\n\r\n`, 431],
  ['a URL far too long', `GET /v2/${'a'.repeat(20 * KIB)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431],
  ['an odd expectation', 'GET /v2/ HTTP/1.1\r\nHost: x\r\nExpect: cake\r\nConnection: close\r\n\r\n', 417],
];

t.test('bad input is refused at once: no upstream is asked, nothing is written', async (t) => {
  const registry = await startRegistry(t);
  registry.push('library/app', image, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const isClean = async (name: string) => {
    t.equal(registry.asked.length, 0, `${name}: no upstream request`);
    const written = await readdir(join(mirror.directory, 'v1', 'blobs'));
    t.same([...written, ...(await readdir(join(mirror.directory, 'v1', 'fills')))], [], `${name}: no file`);
  };
  const check = async (name: string, sent: string, status: number, code?: string) => {
    const answer = parseAnswer(await exchangeRaw(mirror.url, sent));
    t.equal(answer.status, status, `${name}: ${status}`);
    const said = JSON.parse(answer.body || 'null')?.errors?.[0]?.code;
    t.match(said, code ?? /^[A-Z_]+$/, `${name}: an OCI error`);
    await isClean(name);
    return answer;
  };
  const line = (method: string, target: string, headers = ''): string =>
    `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`;

  for (const [name, target, status, code] of targets) await check(name, line('GET', target), status, code);
  for (const [name, sent, status] of requests) await check(name, sent, status);
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND']) {
    const { head } = await check(
      method,
      line(method, '/v2/library/app/manifests/latest'),
      405,
      'UNSUPPORTED',
    );
    t.match(head.toLowerCase(), '\r\nallow: get, head');
  }
  const upload = line('POST', '/v2/library/app/blobs/uploads/', 'Content-Length: 5\r\n');
  await check('an upload', `${upload}hello`, 405, 'UNSUPPORTED');
  for (const range of ['bytes', 'bytes=', 'bytes=a-b', 'bytes=5-1', 'bytes=-', 'bytes=0-1,x', '0-1']) {
    const sent = line('GET', `/v2/library/app/blobs/${digest}`, `Range: ${range}\r\n`);
    await check(`range ${range}`, sent, 416, 'RANGE_INVALID');
  }
  t.equal((await mirror.manifest('/v2/app/manifests/latest')).status, 200, 'and it still works');
});

t.test('a request that does not come to its end is ended', async (t) => {
  const registry = await startRegistry(t);
  const http = { headerTimeoutMs: 100 };
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, http });
  const { status, body } = parseAnswer(
    await exchangeRaw(mirror.url, 'GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow'),
  );
  t.equal(status, 408);
  t.match(JSON.parse(body), { errors: [{ code: 'UNSUPPORTED' }] });
});

t.test('a HEAD is refused without a body', async (t) => {
  const registry = await startRegistry(t);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const { status, body } = await mirror.head('/v2/library/App/manifests/latest');
  t.match({ status, bytes: body.length }, { status: 400, bytes: 0 });
});

t.test('garbage behind a request that is being answered is not mixed into its answer', async (t) => {
  const registry = await startRegistry(t);
  const blob = blobOf(MIB, 'pipelined');
  registry.push('library/app', blob);
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(512 * KIB, gate.opened)));
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const target = `/v2/library/app/blobs/${blob.digest}`;
  const witness = await open(mirror.url + target);
  const request = `GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const garbage = 'this is no request\r\n\r\n';
  const received = await exchangeRaw(mirror.url, request, { after: 300 * KIB, sent: garbage });
  gate.open();
  const body = received.subarray(received.indexOf('\r\n\r\n') + 4);
  t.ok(body.equals(blob.body.subarray(0, body.length)), 'what came is of the blob, and nothing else');
  t.ok((await witness.ended).isComplete, 'nobody else is disturbed');
});

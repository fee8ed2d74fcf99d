/** Who asks at the control socket in a way that is not understood is told what is wrong, and nothing else happens. */
import { once } from 'node:events';
import { request } from 'node:http';
import t, { type Test } from 'tap';
import { readJson } from '../../src/admin/answers.ts';
import { controlPaths } from '../../src/admin/control-path.ts';
import { RefusedError } from '../../src/refused-error.ts';
import { MIB } from '../helpers/content.ts';
import { exportOf, importOf, prewarmOf } from '../helpers/control.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { until } from '../helpers/waiting.ts';

const UPSTREAMS = { 'docker.io': { at: new URL('http://127.0.0.1:9') } };

interface Said {
  status: number;
  body: string;
}

function begin({ directory }: RunningMirror, method: string, path: string) {
  const [socketPath = ''] = controlPaths(directory, undefined);
  return request({ socketPath, path, method, agent: false });
}

async function say(
  mirror: RunningMirror,
  method: string,
  path: string,
  body: Buffer | string = '',
): Promise<Said> {
  const call = begin(mirror, method, path);
  const answered = once(call, 'response');
  call.on('error', () => undefined); // it may answer before it has read all
  call.end(body);
  const [response] = await answered;
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, body: Buffer.concat(chunks).toString() };
}

const start = (t: Test): Promise<RunningMirror> => startMirror(t, { upstreams: UPSTREAMS });

t.test('fields that nobody knows, of other types, or missing', async (t) => {
  const mirror = await start(t);
  const refused = async (path: string, value: unknown, message: RegExp): Promise<void> => {
    const { status, body } = await say(mirror, 'POST', path, JSON.stringify(value) ?? '');
    t.equal(status, 400, body);
    t.match(body, message);
  };
  for (const path of ['/v1/prewarm', '/v1/pin', '/v1/unpin', '/v1/remove', '/v1/export']) {
    await refused(path, undefined, /no JSON/);
    await refused(path, null, /the request/);
    await refused(path, 'docker.io/library/alpine', /the request/);
    await refused(path, [[]], /0|the request/);
    t.match(await say(mirror, 'POST', path, '{"references": ['), { status: 400, body: /no JSON/ });
    t.equal((await say(mirror, 'GET', path)).status, 405);
    t.equal((await say(mirror, 'HEAD', path)).status, 405);
  }
  await refused('/v1/prewarm', { ...prewarmOf(['a']), isPinned: true }, /isPinned/);
  await refused('/v1/prewarm', { ...prewarmOf(['a']), images: [{ reference: 5 }] }, /images\.0\.reference/);
  await refused('/v1/prewarm', { ...prewarmOf(['a']), concurrency: '3' }, /concurrency/);
  await refused('/v1/prewarm', { ...prewarmOf(['a']), concurrency: 1e9 }, /concurrency/);
  await refused('/v1/pin', { references: ['a'], platforms: 'none', withReferrers: false }, /platforms/);
  await refused('/v1/remove', { references: 'a', isDryRun: false }, /references/);
  await refused('/v1/remove', { references: ['a'] }, /isDryRun/);
  await refused('/v1/export', { ...exportOf(['a']), selection: 'some' }, /selection/);
  for (const query of [
    '',
    '?request=',
    '?request=%7B',
    `?request=${encodeURIComponent(JSON.stringify({ ...importOf(), bytes: -1 }))}`,
  ])
    t.equal((await say(mirror, 'POST', `/v1/import${query}`, 'x')).status, 400, query);
  t.equal((await say(mirror, 'HEAD', '/v1/pins')).status, 200);
  t.same(
    mirror.logs.filter((line) => line.includes('"level":50')),
    [],
  );
});

t.test('a document without end is refused, and whoever sends it hears so', async (t) => {
  const mirror = await start(t);
  const { status, body } = await say(mirror, 'POST', '/v1/unpin', Buffer.alloc(66 * MIB, ' '));
  t.equal(status, 400);
  t.match(body, /too large/);
});

t.test('a document that stalls is not waited for for ever', async (t) => {
  const never = async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from('{');
    await new Promise(() => undefined);
  };
  await t.rejects(readJson(never(), 5), RefusedError);
});

t.test('who still sends an archive that is refused hears why, and can send on', async (t) => {
  const mirror = await start(t);
  const asked = JSON.stringify(importOf({ bytes: 2 ** 50 }));
  const call = begin(mirror, 'POST', `/v1/import?${new URLSearchParams({ request: asked })}`);
  const errors: unknown[] = [];
  call.on('error', (error) => errors.push(error));
  call.write(Buffer.alloc(MIB));
  const [response] = await once(call, 'response');
  let said = '';
  for await (const chunk of response) {
    said += chunk;
    if (said.includes('refused') && !call.writableEnded) call.end(Buffer.alloc(16 * MIB));
  }
  t.match(said, /the store holds/);
  t.ok(call.writableFinished, 'the connection has not ended before');
  t.same(errors, []);
});

t.test('who leaves in the middle of a request is no fault of ours', async (t) => {
  const mirror = await start(t);
  for (const path of [
    '/v1/pin',
    `/v1/import?${new URLSearchParams({ request: JSON.stringify(importOf()) })}`,
  ]) {
    const call = begin(mirror, 'POST', path);
    call.on('error', () => undefined);
    call.setHeader('content-length', 1000);
    call.write('{');
    await once(call, 'socket');
    await new Promise((resolve) => setImmediate(resolve));
    call.destroy();
  }
  t.equal((await say(mirror, 'GET', '/v1/status')).status, 200);
  await until('all has ended', () => mirror.status().store.reservedBytes === 0);
  t.same(
    mirror.logs.filter((line) => line.includes('"level":50')),
    [],
  );
});

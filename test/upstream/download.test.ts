import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { openDownload } from '../../src/upstream/download.ts';
import { collect, connect, failureOf, type Respond, repository, sendRange, serve } from './registry.ts';

const content = Buffer.concat(
  Array.from({ length: 20_000 }, (_, at) => createHash('sha256').update(String(at)).digest()),
);
const digest = digestOf(content);
const SIZE = content.length;
const never = new AbortController().signal;

function chunksOf(found: { chunks: AsyncIterable<Buffer> } | undefined): AsyncIterable<Buffer> {
  if (!found) throw new Error('upstream does not have it');
  return found.chunks;
}

/** Downloads from a server that answers so. */
async function download(t: Test, respond: Respond, from = 0, signal = never) {
  const { url, seen } = await serve(t, respond);
  const { upstream, told } = connect(t, url, {
    timeouts: { connectMs: 2000, headersMs: 2000, idleMs: 150, stallMs: 0, confirmMs: 2000, probeMs: 0 },
  });
  const found = await upstream.download(repository, digest, { from, signal, lane: 'blob' });
  const ranges = (): (string | undefined)[] => seen.map(({ headers }) => headers.range);
  return { found, seen, told, ranges };
}

t.test('in one piece, as it is', async (t) => {
  const { found, seen, told } = await download(t, (seen, response) => sendRange(seen, response, content));
  t.equal(found?.size, SIZE);
  t.ok(found && (await collect(found.chunks)).equals(content));
  t.equal(seen[0]?.path, `/v2/library/alpine/blobs/${digest}`);
  t.equal(seen[0]?.headers['accept-encoding'], 'identity');
  t.same([told.received, told.resumed], [SIZE, 0]);
});

t.test('breaks are resumed where they happened, with the validator', async (t) => {
  const breaks = [200_000, 400_000, 400_001];
  const { found, seen, told, ranges } = await download(t, (seen, response, count) =>
    sendRange(seen, response, content, { until: breaks[count] ?? SIZE, headers: { etag: '"tag"' } }),
  );
  t.ok(found && (await collect(found.chunks)).equals(content));
  t.same(ranges(), [undefined, ...breaks.map((at) => `bytes=${at}-`)]);
  t.same(
    seen.map(({ headers }) => headers['if-range']),
    [undefined, '"tag"', '"tag"', '"tag"'],
  );
  t.same([told.received, told.resumed], [SIZE, 3]);
});

t.test('a weak validator is none', async (t) => {
  const { found, seen } = await download(t, (seen, response, count) =>
    sendRange(seen, response, content, { until: count === 0 ? 1000 : SIZE, headers: { etag: 'W/"tag"' } }),
  );
  t.ok(found && (await collect(found.chunks)).equals(content));
  t.equal(seen[1]?.headers['if-range'], undefined);
});

t.test('an upstream without ranges is read again and skipped', async (t) => {
  const whole: Respond = (seen, response, count) =>
    sendRange({ ...seen, headers: {} }, response, content, {
      until: count < 2 ? 300_000 * (count + 1) : SIZE,
    });
  const { found, ranges } = await download(t, whole);
  t.ok(found && (await collect(found.chunks)).equals(content));
  t.same(ranges(), [undefined, 'bytes=300000-', 'bytes=600000-']);
});

t.test('silence is a break', async (t) => {
  const { found, told } = await download(t, (seen, response, count) => {
    if (count > 0) return sendRange(seen, response, content);
    response.writeHead(200, { 'content-length': SIZE }).write(content.subarray(0, 1000));
  });
  t.ok(found && (await collect(found.chunks)).equals(content));
  t.equal(told.resumed, 1);
});

t.test('from an offset', async (t) => {
  const { found, ranges } = await download(t, (seen, response) => sendRange(seen, response, content), 1000);
  t.equal(found?.size, SIZE);
  t.ok(found && (await collect(found.chunks)).equals(content.subarray(1000)));
  t.same(ranges(), ['bytes=1000-']);
});

t.test('from the end there is nothing more', async (t) => {
  const { found } = await download(t, (seen, response) => sendRange(seen, response, content), SIZE);
  t.equal(found?.size, SIZE);
  t.equal(found && (await collect(found.chunks)).length, 0);
});

t.test('content without a length, broken and resumed', async (t) => {
  const { found } = await download(t, (seen, response, count) => {
    if (count > 0) return sendRange(seen, response, content);
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    response.write(content.subarray(0, 5000), () => response.socket?.end());
  });
  t.equal(found?.size, undefined);
  t.ok(found && (await collect(found.chunks)).equals(content));
});

t.test('what upstream does not have', async (t) => {
  const { found } = await download(t, (_, response) => response.writeHead(404).end('{}'));
  t.equal(found, undefined);
});

t.test('answers that cannot be used are given up after some tries', async (t) => {
  const headers =
    (more: Record<string, string>): Respond =>
    (seen, response) =>
      sendRange(seen, response, content, { headers: more });
  const cases: [what: string, respond: Respond, from: number, says: RegExp][] = [
    ['another range', headers({ 'content-range': `bytes 0-${SIZE - 1}/${SIZE}` }), 1000, /sends others/],
    ['no range', headers({ 'content-range': 'nonsense' }), 1000, /sends others/],
    ['gzip', headers({ 'content-encoding': 'gzip' }), 0, /gzip although identity/],
    [
      '416 inside the content',
      (_, response) => response.writeHead(416, { 'content-range': 'bytes */2000' }).end(),
      1000,
      /refuses a range/,
    ],
    ['5xx', (_, response) => response.writeHead(503).end(), 0, /503/],
    ['a broken head', (_, response) => response.socket?.destroy(), 0, /broke/],
  ];
  const tries = cases.map(async ([what, respond, from, says]) => {
    let asked = 0;
    const counted: Respond = (seen, response, count) => {
      asked += 1;
      return respond(seen, response, count);
    };
    t.match(await failureOf(download(t, counted, from)), { message: says, isTransient: true }, what);
    t.equal(asked, 3, `${what}: asked three times`);
  });
  await Promise.all(tries);
});

t.test('a size that changes is no resume', async (t) => {
  const { found } = await download(t, (seen, response, count) => {
    const now = count === 0 ? content : content.subarray(0, 500_000);
    sendRange(seen, response, now, count === 0 ? { until: 1000 } : {});
  });
  const got: Buffer[] = [];
  t.match(await failureOf(collect(chunksOf(found), got)), {
    reason: 'bad-answer',
    message: /said 640000 before/,
  });
  t.equal(Buffer.concat(got).length, 1000);
});

t.test('it is given up where there is no progress', async (t) => {
  const { found, seen } = await download(t, (seen, response) =>
    sendRange(seen, response, content, { until: 1000 }),
  );
  t.match(await failureOf(collect(chunksOf(found))), { reason: 'reset' });
  t.equal(seen.length, 3);
});

t.test('it is gone on with as long as there is, and nothing piles up', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error): unknown => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const abort = new AbortController();
  const small = content.subarray(0, 13_000);
  const respond: Respond = (seen, response, count) =>
    sendRange(seen, response, small, { until: (count + 1) * 1000 });
  const { found, told } = await download(t, respond, 0, abort.signal);
  t.ok(found && (await collect(found.chunks)).equals(small));
  t.equal(told.resumed, 12);
  t.same(warnings.map(String), []);
});

t.test('a blob that disappears is not said to be complete', async (t) => {
  const { found } = await download(t, (seen, response, count) =>
    count === 0 ? sendRange(seen, response, content, { until: 1000 }) : response.writeHead(404).end(),
  );
  t.match(await failureOf(collect(chunksOf(found))), { reason: 'bad-answer', status: 404 });
});

t.test('aborted: it ends with the reason, also while it asks again', async (t) => {
  for (const isAskingAgain of [false, true]) {
    const abort = new AbortController();
    const respond: Respond = (seen, response, count) => {
      if (isAskingAgain && count === 1) setImmediate(() => abort.abort(new Error('stopping')));
      if (!isAskingAgain)
        response.writeHead(200, { 'content-length': SIZE }).write(content.subarray(0, 1000));
      else sendRange(seen, response, content, { until: 1000 });
    };
    const { found } = await download(t, respond, 0, abort.signal);
    const got: Buffer[] = [];
    const collecting = failureOf(collect(chunksOf(found), got));
    if (!isAskingAgain) setImmediate(() => abort.abort(new Error('stopping')));
    t.match(await collecting, { message: 'stopping' }, `asking again: ${isAskingAgain}`);
  }
});

t.test('an answer whose head does not come in time', async (t) => {
  const asked: AbortSignal[] = [];
  const options = {
    from: 0,
    retries: 1,
    signal: never,
    lane: 'blob' as const,
    answerDeadlineMs: 20,
    host: 'registry.example',
  };
  const downloading = openDownload({
    ...options,
    stallMs: 0,
    now: Date.now,
    received: () => undefined,
    resumed: () => undefined,
    open: (_, signal) => {
      asked.push(signal);
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  t.match(await failureOf(downloading), { reason: 'timeout', host: 'registry.example' });
  t.equal(asked.length, 1, 'the deadline is for all attempts together: a client waits no longer');
});

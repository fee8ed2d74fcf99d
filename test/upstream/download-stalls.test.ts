import t, { type Test } from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { bytesOf } from '../store/source.ts';
import { collect, connect, failureOf, type Respond, repository, sendRange, serve } from './registry.ts';

const content = bytesOf(10_000);
const SIZE = content.length;
const digest = digestOf(content);
const STALL_MS = 60_000;

type RespondAt = (...args: [...Parameters<Respond>, pass: (ms: number) => void]) => unknown;

/** Downloads from a server that answers so, and can let time pass beyond what really does. */
async function start(t: Test, respond: RespondAt) {
  const clock = { aheadMs: 0 };
  const pass = (ms: number): void => {
    clock.aheadMs += ms;
  };
  const { url, seen } = await serve(t, (...args) => respond(...args, pass));
  const { upstream, told } = connect(t, url, {
    timeouts: {
      connectMs: 2000,
      headersMs: 2000,
      idleMs: 2000,
      stallMs: STALL_MS,
      confirmMs: 2000,
      probeMs: 0,
    },
    now: () => Date.now() + clock.aheadMs,
  });
  const abort = new AbortController();
  const found = await upstream.download(repository, digest, { from: 0, signal: abort.signal, lane: 'blob' });
  if (!found) throw new Error('upstream does not have it');
  const got: Buffer[] = [];
  return { copying: collect(found.chunks, got), got: () => Buffer.concat(got), seen, told, abort };
}

const breakAt =
  (until: number): RespondAt =>
  (seen, response) =>
    sendRange(seen, response, content, { until });

t.test('without progress it is tried for as long as the limit says, and not longer', async (t) => {
  const { copying, seen, got } = await start(t, (...args) => {
    const [, response, count, pass] = args;
    if (count === 0) return breakAt(1000)(...args);
    pass(25_000);
    response.writeHead(503).end();
  });
  t.match(await failureOf(copying), { reason: 'server-error', status: 503 }, 'what failed last');
  t.equal(seen.length, 4, 'after 0, 25 and 50 seconds');
  t.equal(got().length, 1000);
});

t.test('at least as often as the retries say, however long they took', async (t) => {
  const { copying, seen } = await start(t, (...args) => {
    const [, response, count, pass] = args;
    pass(2 * STALL_MS);
    return count === 0 ? breakAt(1000)(...args) : response.socket?.destroy();
  });
  t.match(await failureOf(copying), { reason: 'reset' });
  t.equal(seen.length, 3);
});

t.test('each byte of progress begins the count anew', async (t) => {
  const { copying, told } = await start(t, (...args) => {
    const [, response, count, pass] = args;
    pass(45_000);
    if (count % 2 === 1) return response.writeHead(502).end();
    return breakAt(Math.min(SIZE, (count / 2 + 1) * 2500))(...args);
  });
  t.ok((await copying).equals(content));
  t.equal(told.resumed, 3, 'in three times the limit');
});

t.test('an answer without bytes is no progress', async (t) => {
  const { copying, seen } = await start(t, (...args) => {
    args[3](40_000);
    return breakAt(1000)(...args);
  });
  t.match(await failureOf(copying), { reason: 'reset' });
  t.equal(seen.length, 3);
});

t.test('whatever is transient is gone on after', async (t) => {
  const { copying, got, told } = await start(t, (...args) => {
    const [, response, count] = args;
    if (count === 0) return breakAt(1000)(...args);
    if (count === 1) return response.socket?.destroy();
    if (count === 2) return response.writeHead(502).end();
    return breakAt(SIZE)(...args);
  });
  await copying;
  t.ok(got().equals(content));
  t.equal(told.resumed, 1);
});

t.test('a limit that ends in time is waited for', async (t) => {
  const askedAtMs: number[] = [];
  const { copying } = await start(t, (...args) => {
    const [, response, count] = args;
    askedAtMs.push(performance.now());
    if (count === 0) return breakAt(1000)(...args);
    if (count === 1) return response.writeHead(429, { 'retry-after': '1' }).end();
    return breakAt(SIZE)(...args);
  });
  t.ok((await copying).equals(content));
  const [, limited = 0, again = 0] = askedAtMs;
  t.ok(again - limited >= 950, 'not asked before upstream said');
});

t.test('one that ends too late is told at once', async (t) => {
  const { copying, seen } = await start(t, (...args) => {
    const [, response, count] = args;
    if (count === 0) return breakAt(1000)(...args);
    return response.writeHead(429, { 'retry-after': '61' }).end();
  });
  t.match(await failureOf(copying), { reason: 'throttled', retryAfterMs: 61_000 });
  t.equal(seen.length, 2);
});

t.test('what is no trouble but an answer is told at once', async (t) => {
  for (const status of [404, 403, 400]) {
    const { copying, seen, got } = await start(t, (...args) => {
      const [, response, count] = args;
      return count === 0 ? breakAt(1000)(...args) : response.writeHead(status).end();
    });
    t.match(await failureOf(copying), { status }, `${status}`);
    t.same([seen.length, got().length], [2, 1000]);
  }
});

t.test('stopped while it waits to ask again', async (t) => {
  const { copying, seen, abort } = await start(t, (...args) => {
    const [, response, count] = args;
    if (count === 0) return breakAt(1000)(...args);
    response.writeHead(429, { 'retry-after': '50' }).end();
    response.once('close', () => setImmediate(() => abort.abort(new Error('stopping'))));
  });
  t.match(await failureOf(copying), { message: 'stopping' });
  t.equal(seen.length, 2);
});

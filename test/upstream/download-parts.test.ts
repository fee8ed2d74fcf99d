import t, { type Test } from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import { digestOf } from '../../src/oci/digest.ts';
import type { WantedBlob } from '../../src/upstream/download.ts';
import { bytesOf } from '../store/source.ts';
import { collect, connect, failureOf, type Respond, repository, sendRange, serve } from './registry.ts';

const content = bytesOf(300_000);
const SIZE = content.length;
const digest = digestOf(content);
const never = new AbortController().signal;

async function start(t: Test, respond: Respond) {
  const { url, seen } = await serve(t, respond);
  const { upstream } = connect(t, url);
  return {
    seen,
    ranges: () => seen.map(({ headers }) => headers.range),
    download: (wanted: Partial<WantedBlob>) =>
      upstream.download(repository, digest, { from: 0, signal: never, lane: 'blob', ...wanted }),
  };
}

async function bytesIn(found: { chunks: AsyncIterable<Buffer> } | undefined): Promise<Buffer> {
  if (!found) throw new Error('upstream does not have it');
  return await collect(found.chunks);
}

t.test('a part is asked for as that part', async (t) => {
  const { download, ranges } = await start(t, (seen, response) => sendRange(seen, response, content));
  for (const [from, to] of [
    [1000, 2000],
    [0, 1],
    [SIZE - 1, SIZE],
    [0, SIZE],
  ] as const) {
    const found = await download({ from, to });
    t.equal(found?.size, SIZE, 'of the whole');
    t.ok((await bytesIn(found)).equals(content.subarray(from, to)), `${from} to ${to}`);
  }
  t.same(ranges(), ['bytes=1000-1999', 'bytes=0-0', `bytes=${SIZE - 1}-${SIZE - 1}`, `bytes=0-${SIZE - 1}`]);
});

t.test('a part that breaks is resumed within its bounds', async (t) => {
  const { download, ranges } = await start(t, (seen, response, count) =>
    sendRange(seen, response, content, { until: count === 0 ? 150_000 : SIZE, headers: { etag: '"tag"' } }),
  );
  const found = await download({ from: 100_000, to: 200_000 });
  t.ok((await bytesIn(found)).equals(content.subarray(100_000, 200_000)));
  t.same(ranges(), ['bytes=100000-199999', 'bytes=150000-199999']);
});

t.test('an upstream that knows no ranges gives no part', async (t) => {
  const { download, seen } = await start(t, (_, response) => response.writeHead(200).end(content));
  t.match(await failureOf(download({ from: 1000, to: 2000 })), {
    reason: 'bad-answer',
    message: /no part of a blob/,
  });
  t.equal(seen.length, 3, 'asked as often as for anything that is wrong');
});

t.test('nor does one that sends another part, or says that there is none', async (t) => {
  const cases: [respond: Respond, says: RegExp][] = [
    [(_, response) => response.writeHead(416, { 'content-range': `bytes */${SIZE}` }).end(), /no part/],
    [
      (_, response) =>
        response
          .writeHead(206, { 'content-range': `bytes 999-1998/${SIZE}` })
          .end(content.subarray(999, 1999)),
      /sends others/,
    ],
  ];
  for (const [respond, says] of cases) {
    const { download } = await start(t, respond);
    t.match(await failureOf(download({ from: 1000, to: 2000 })), { reason: 'bad-answer', message: says });
  }
});

t.test('one that stops giving parts in the middle', async (t) => {
  const { download } = await start(t, (seen, response, count) => {
    if (count === 0) sendRange(seen, response, content, { until: 1500 });
    else response.writeHead(200, { 'content-length': SIZE }).end(content);
  });
  const got: Buffer[] = [];
  const found = await download({ from: 1000, to: 2000 });
  t.match(await failureOf(collect(found?.chunks ?? empty(), got)), { message: /no part of a blob/ });
  t.ok(Buffer.concat(got).equals(content.subarray(1000, 1500)));
});

t.test('a part of what upstream does not have', async (t) => {
  const { download } = await start(t, (_, response) => response.writeHead(404).end('{}'));
  t.equal(await download({ from: 1000, to: 2000 }), undefined);
});

t.test('afresh: over a connection that nothing has used, and nothing uses again', async (t) => {
  const { download, seen } = await start(t, (seen, response, count) =>
    sendRange(seen, response, content, { until: count === 3 ? 1000 : SIZE }),
  );
  const plain = async (): Promise<boolean> => (await bytesIn(await download({}))).equals(content);
  const afresh = async (): Promise<boolean> =>
    (await bytesIn(await download({ lane: 'fresh' }))).equals(content);
  t.same([await plain(), await plain(), await afresh(), await afresh(), await plain()], Array(5).fill(true));
  const connections = seen.map(({ connection }) => connection);
  const isAlone = (at: number): boolean => connections.filter((one) => one === connections[at]).length === 1;
  t.same([2, 3, 4].map(isAlone), [true, true, true], 'also where it breaks and is resumed');
});

async function* empty(): AsyncGenerator<Buffer> {
  yield* [];
}

t.test('a mirror that gives no parts leaves them to the registry', async (t) => {
  const near = await serve(t, (_, response) => response.end(content));
  const { url, seen } = await serve(t, (asked, response) => sendRange(asked, response, content));
  const mirror = { url: near.url, realms: [], credentials: [], tls: upstreamDefaults.tls };
  const { upstream } = connect(t, url, { mirrors: [mirror] });
  const wanted = { from: 10, to: 20, signal: never, lane: 'part' } as const;
  const part = await bytesIn(await upstream.download(repository, digest, wanted));
  t.same(part, content.subarray(10, 20));
  t.same([near.seen.length, seen.length], [1, 1]);
});

import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import type { Tag } from '../../src/oci/reference.ts';
import { UpstreamError } from '../../src/upstream/errors.ts';
import { InFlight } from '../../src/upstream/in-flight.ts';
import { makeGate } from '../helpers/waiting.ts';
import { collect, connect, failureOf, repository, sendRange, serve } from './registry.ts';

const content = Buffer.alloc(300_000, 'retired');
const digest = digestOf(content);
const never = new AbortController().signal;
const tag = { kind: 'tag', tag: 'latest' as Tag } as const;

t.test('one that retires is closed when nothing runs any more, and not before', async (t) => {
  const gate = makeGate();
  const { url } = await serve(t, async (seen, response) => {
    if (seen.path.includes('/manifests/')) return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
    await gate.opened;
    return response.end(content.subarray(1000));
  });
  const { upstream } = connect(t, url);
  const download = await upstream.download(repository, digest, { from: 0, signal: never, lane: 'blob' });
  const retired = upstream.retire(undefined, 0);
  t.equal(await upstream.headManifest(repository, tag), undefined, 'a step of what has begun is still asked');
  gate.open();
  t.ok((await collect(download?.chunks ?? emptiness())).equals(content));
  await retired;
  const failure = await failureOf(upstream.headManifest(repository, tag));
  t.equal(failure instanceof UpstreamError && failure.reason, 'stopped');
});

t.test('a download that nobody reads holds it up until its signal ends it', async (t) => {
  const { url } = await serve(t, (seen, response) => sendRange(seen, response, content));
  const { upstream } = connect(t, url);
  const unwanted = new AbortController();
  await upstream.download(repository, digest, { from: 0, signal: unwanted.signal, lane: 'part' });
  const retired = upstream.retire(undefined, 0).then(() => 'closed');
  t.equal(await Promise.race([retired, upstream.headBlob(repository, digest).then(() => 'open')]), 'open');
  unwanted.abort();
  t.equal(await retired, 'closed');
});

t.test('what broke goes on at the last of its successors', async (t) => {
  const gate = makeGate();
  const first = await serve(t, async (_, response) => {
    response.writeHead(200, { 'content-length': content.length, etag: '"of the first"' });
    response.write(content.subarray(0, 1000));
    await gate.opened;
    return response.destroy();
  });
  const none = await serve(t, (_, response) => response.writeHead(500).end());
  const last = await serve(t, (seen, response) => sendRange(seen, response, content));
  const [one, two, three] = [connect(t, first.url), connect(t, none.url), connect(t, last.url)];
  const download = await one.upstream.download(repository, digest, { from: 0, signal: never, lane: 'blob' });
  const retired = [one.upstream.retire(two.upstream, 0), two.upstream.retire(three.upstream, 0)];
  const collected = collect(download?.chunks ?? emptiness());
  gate.open();
  t.ok((await collected).equals(content));
  await Promise.all(retired);
  t.same([first.seen.length, none.seen.length], [1, 0]);
  t.match(last.seen[0]?.headers.range, /^bytes=\d+-$/);
  t.equal(last.seen[0]?.headers['if-range'], undefined, 'it may know nothing of the validator');
});

t.test('quiet is when nothing has begun for a while', async (t) => {
  const alive = setInterval(() => undefined, 1000); // waiting to be quiet keeps no process alive
  t.teardown(() => clearInterval(alive));
  const inFlight = new InFlight();
  const end = inFlight.begin();
  let isQuiet = false;
  const quiet = inFlight.quiet(20, never).then(() => {
    isQuiet = true;
  });
  end();
  end();
  t.equal(inFlight.running, 0, 'an end counts once');
  await inFlight.during(async () => undefined);
  t.notOk(isQuiet);
  await quiet;
  inFlight.begin();
  await inFlight.quiet(3_600_000, AbortSignal.abort());
  t.pass('whoever closes does not wait');
});

async function* emptiness(): AsyncGenerator<Buffer> {
  // nothing is there
}

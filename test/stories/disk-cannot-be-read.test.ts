import { truncateSync } from 'node:fs';
import t, { type Test } from 'tap';
import { Layout } from '../../src/store/layout.ts';
import { checkBooks } from '../helpers/books.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { calls, failDisk } from '../helpers/disk-faults.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

/** Larger than what the sockets between hubcap and its client hold. */
const blob = blobOf(16 * MIB, 'hard to read');
const path = `/v2/team/app/blobs/${blob.digest}`;

async function startWithStored(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  await mirror.get(path);
  await mirror.settled();
  t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit');
  return { registry, mirror, file: new Layout(mirror.directory).blob(blob.digest) };
}

t.test('a stored blob that cannot be read from its middle on (EIO)', async (t) => {
  const { registry, mirror } = await startWithStored(t);
  const fault = failDisk(t, mirror.directory, 'EIO', { matches: calls('read', '/blobs/'), after: 3 });
  const { status, isComplete, body } = await mirror.get(path);
  t.equal(status, 200);
  t.ok(isComplete && body.equals(blob.body), 'who reads it goes on from upstream');
  const next = await mirror.get(path);
  t.ok(next.isComplete && next.body.equals(blob.body), 'who comes next gets it too');
  const part = await mirror.get(path, { headers: { range: 'bytes=1000000-1000999' } });
  t.equal(part.status, 206);
  t.ok(part.body.equals(blob.body.subarray(1_000_000, 1_001_000)), 'and a range of it');
  t.ok(fault.hits > 0);
  t.ok((await mirror.metric('hubcap_storage_errors_total')) > 0, 'it is counted');
  t.ok(registry.bytesSent('GET', blob.digest) <= 4 * blob.body.length);
  fault.lift();
  await until('the disk is found to work', async () => (await mirror.ready()) === 200);
  const later = await mirror.get(path);
  t.ok(later.isComplete && later.body.equals(blob.body));
  await checkBooks(t, mirror);
});

for (const code of ['EMFILE', 'ENFILE', 'EIO', 'EACCES']) {
  t.test(`a stored blob that cannot be opened (${code}) is fetched past the store`, async (t) => {
    const { mirror } = await startWithStored(t);
    const fault = failDisk(t, mirror.directory, code, { matches: calls('open') });
    for (let n = 0; n < 2; n++) {
      const { status, isComplete, body } = await mirror.get(path);
      t.equal(status, 200);
      t.ok(isComplete && body.equals(blob.body));
    }
    t.ok(fault.hits > 0);
    t.equal(await mirror.metric('hubcap_store_writable'), 0);
    t.equal(await mirror.ready(), 503);
    fault.lift();
    t.equal(await mirror.ready(), 200, 'whoever asks whether it is ready has the disk tried');
    t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit', 'it was not given up');
    await checkBooks(t, mirror);
  });
}

t.test('a stored file that became shorter while it is read: the reader goes on from upstream', async (t) => {
  const { mirror, file } = await startWithStored(t);
  const reader = await mirror.open(path);
  reader.pause();
  truncateSync(file, MIB);
  reader.resume();
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(blob.body));
  const next = await mirror.get(path);
  t.ok(next.isComplete && next.body.equals(blob.body), 'it is refetched');
  await mirror.settled();
  await checkBooks(t, mirror);
});

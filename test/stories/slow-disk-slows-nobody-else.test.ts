import t, { type Test } from 'tap';
import { hexOf } from '../../src/oci/digest.ts';
import { checkBooks } from '../helpers/books.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { calls, hangDisk } from '../helpers/disk-faults.ts';
import { openFilesBelow } from '../helpers/disk-truth.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

const slow = blobOf(3 * MIB, 'slow');
const other = blobOf(2 * MIB, 'other');
const stored = blobOf(MIB, 'stored');
const pathOf = ({ digest }: { digest: string }): string => `/v2/team/app/blobs/${digest}`;

async function start(t: Test) {
  const registry = await startRegistry(t);
  for (const content of [slow, other, stored]) registry.push('team/app', content);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  await mirror.get(pathOf(stored));
  await mirror.settled();
  return mirror;
}

for (const operation of ['write', 'sync']) {
  t.test(`a ${operation} that hangs: nobody waits but who reads that blob`, async (t) => {
    const mirror = await start(t);
    const fault = hangDisk(t, mirror.directory, { matches: calls(operation, hexOf(slow.digest)) });
    const waiting = mirror.get(pathOf(slow));
    await until('the disk hangs', () => fault.hits > 0);
    const received = await Promise.all([other, stored].map((content) => mirror.get(pathOf(content))));
    t.ok(received.every(({ status, isComplete }) => status === 200 && isComplete));
    t.ok(received[0]?.body.equals(other.body) && received[1]?.body.equals(stored.body));
    t.equal((await mirror.get(`/v2/team/app/blobs/${slow.digest}`, { method: 'HEAD' })).status, 200);
    fault.lift();
    const { isComplete, body } = await waiting;
    t.ok(isComplete && body.equals(slow.body), 'and that one waits for no longer than it must');
    await mirror.settled();
    t.equal((await mirror.get(pathOf(slow))).headers['cache-status'], 'hubcap; hit');
    await checkBooks(t, mirror);
  });

  t.test(`a ${operation} that hangs for ever does not keep the daemon from stopping`, async (t) => {
    const mirror = await start(t);
    const fault = hangDisk(t, mirror.directory, { matches: calls(operation, hexOf(slow.digest)) });
    const reader = mirror.get(pathOf(slow));
    await until('the disk hangs', () => fault.hits > 0);
    let isStopped = false;
    const closed = mirror.close().then(() => {
      isStopped = true;
    });
    await reader;
    await until('it has stopped', () => isStopped, 10);
    fault.lift();
    await closed;
    await until('what hung has ended', () => openFilesBelow(mirror.directory).length === 0);
  });
}

t.test('room that hangs to be made (unlink): what is stored is served', async (t) => {
  const registry = await startRegistry(t);
  for (const content of [slow, other, stored]) registry.push('team/app', content);
  const upstreams = { 'registry.test': { at: registry } };
  const mirror = await startMirror(t, { upstreams, maxBytes: 4 * MIB });
  for (const content of [stored, other]) await mirror.get(pathOf(content));
  await mirror.settled();
  const fault = hangDisk(t, mirror.directory, { matches: calls('unlink', '/blobs/') });
  const waiting = mirror.get(pathOf(slow));
  await until('the disk hangs', () => fault.hits > 0);
  const { headers, body } = await mirror.get(pathOf(other));
  t.equal(headers['cache-status'], 'hubcap; hit');
  t.ok(body.equals(other.body));
  fault.lift();
  t.ok((await waiting).body.equals(slow.body));
  await mirror.settled();
  await checkBooks(t, mirror);
});

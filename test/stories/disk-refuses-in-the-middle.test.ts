import t, { type Test } from 'tap';
import { checkBooks } from '../helpers/books.ts';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import type { DiskCall } from '../helpers/disk-calls.ts';
import { calls, failDisk } from '../helpers/disk-faults.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling, times } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(3 * MIB, 'in the middle');
const other = blobOf(2 * MIB, 'something else');
const pathOf = ({ digest }: { digest: string }): string => `/v2/team/app/blobs/${digest}`;
const path = pathOf(blob);

const NO_NAMES = 'no name can be given';
/** What the disk refuses from some moment inside a fill on, until it is lifted. */
const FAULTS: readonly [what: string, code: string, matches: (call: DiskCall) => boolean][] = [
  ['writing fails', 'EIO', calls('write')],
  ['the disk is full', 'ENOSPC', calls('write writeFile mkdir')],
  ['the disk is full, which is found when writing is over', 'ENOSPC', calls('sync')],
  [NO_NAMES, 'ENOSPC', calls('rename')],
  ['the disk is read-only', 'EROFS', ({ isWriting }) => isWriting],
  ['no file can be opened', 'EMFILE', calls('open readdir')],
  ['no file can be opened in the whole system', 'ENFILE', calls('open readdir')],
  [
    'everything fails',
    'EIO',
    calls('open read write sync rename unlink mkdir stat statfs readdir writeFile'),
  ],
];

/** Two clients in the middle of a fill that has 1 MiB. */
async function startInTheMiddle(t: Test) {
  const registry = await startRegistry(t);
  for (const content of [blob, other]) registry.push('team/app', content);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, times(1, stalling(MIB, gate.opened))));
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const readers = await Promise.all([1, 2].map(() => mirror.open(path)));
  for (const reader of readers) await reader.receive(512 * KIB);
  return { registry, mirror, readers, upstreamGoesOn: gate.open };
}

async function pullsWhole(mirror: RunningMirror, { digest, body }: typeof blob): Promise<boolean> {
  const received = await mirror.get(pathOf({ digest }));
  return received.status === 200 && received.isComplete && received.body.equals(body);
}

for (const [what, code, matches] of FAULTS) {
  t.test(`in the middle of a fill, ${what} (${code}): nobody’s pull fails`, async (t) => {
    const { registry, mirror, readers, upstreamGoesOn } = await startInTheMiddle(t);
    const fault = failDisk(t, mirror.directory, code, { matches });
    upstreamGoesOn();
    for (const reader of readers) {
      const { isComplete, body } = await reader.ended;
      t.ok(isComplete && body.equals(blob.body), 'who was in the middle gets the rest');
    }
    await mirror.settled();
    t.ok(await pullsWhole(mirror, blob), 'a new client gets it');
    t.ok(await pullsWhole(mirror, other), 'and other content');
    t.ok(fault.hits > 0, 'the disk did refuse');
    t.equal(await mirror.metric('hubcap_store_writable'), 0);
    t.ok((await mirror.metric('hubcap_storage_errors_total')) > 0);
    // What is asked whether it is ready tries the disk: it gives no names to files, and finds nothing wrong with that.
    if (what !== NO_NAMES) t.equal(await mirror.ready(), 503);
    // The fill, one download for the two who were in the middle, one for the new client.
    const sent = registry.bytesSent('GET', blob.digest);
    t.ok(sent <= 4 * blob.body.length, `upstream sent ${sent / blob.body.length} times the content`);

    fault.lift();
    await until('the disk is found to work again', async () => (await mirror.ready()) === 200);
    t.equal(await mirror.metric('hubcap_store_writable'), 1);
    t.ok((await pullsWhole(mirror, blob)) && (await pullsWhole(mirror, other)));
    await mirror.settled();
    t.equal((await mirror.get(path)).headers['cache-status'], 'hubcap; hit', 'caching has resumed by itself');
    await checkBooks(t, mirror);
  });
}

import t from 'tap';
import { calls, hangDisk } from '../helpers/disk-faults.ts';
import { assertDiskIsTrue } from '../helpers/disk-truth.ts';
import { until } from '../helpers/waiting.ts';
import { isWaiting, MIB, openRig } from './rig.ts';
import { bytesOf, Source } from './source.ts';

const origin = { upstream: 'docker.io', repository: 'library/alpine' };

for (const [what, other] of [
  ['asked for', 0],
  ['asked for, and other content needs room', 4096],
] as const) {
  t.test(`content is ${what} while it is moved into the store: it is counted once`, async (t) => {
    const { store, fills, layout } = await openRig(t, { maxBytes: 2 * MIB });
    const source = new Source(bytesOf(MIB));
    const shard = layout.shardOf(source.digest);
    // The file has its name; that it survives power loss is not sure yet.
    const slow = hangDisk(t, shard, { matches: calls('sync') });
    const request = { digest: source.digest, origin, open: source.open, isAboutRepository: () => true };
    const start = await fills.begin(request);
    if (start.kind !== 'fill') throw new Error(`it is ${start.kind}`);
    await until('it is being moved', () => slow.hits > 0);
    const opening = store.open(source.digest).then((reader) => reader?.close());
    await isWaiting(opening); // or not: either is right
    const { usedBytes, reservedBytes } = store.ledger;
    t.equal(usedBytes + reservedBytes, MIB, 'counted once');
    const body = bytesOf(other, 2);
    const putting = other > 0 ? store.put(new Source(body).digest, body) : true;
    if (other > 0) await isWaiting(Promise.resolve(putting));
    slow.lift();
    t.ok(await putting, 'there is room for all');
    await Promise.all([start.ended, opening]);

    const disk = await assertDiskIsTrue(layout.directory);
    t.ok(disk.blobs.has(source.digest), 'it did not have to go: there was room');
    t.same(
      [store.ledger.usedBytes, store.ledger.reservedBytes, store.objects],
      [disk.bytesOnDisk, 0, disk.blobs.size],
      'the books say what is on disk',
    );
  });
}

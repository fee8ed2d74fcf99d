import { readdirSync, readlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { until } from '../helpers/waiting.ts';
import { MIB, openRig } from './rig.ts';
import { bytesOf, readToEnd } from './source.ts';

const body = bytesOf(MIB);
const digest = digestOf(body);

/** How many descriptors of this process lead below a directory. */
function descriptorsBelow(directory: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false; // the one that lists them
    }
  }).length;
}

t.test('a thousand readers of one blob have one descriptor, and the last closes it', async (t) => {
  const { store, layout } = await openRig(t);
  await store.put(digest, body);
  const readers = await Promise.all(Array.from({ length: 1000 }, () => store.open(digest)));
  t.equal(descriptorsBelow(layout.blobs), 1);
  for (const reader of readers.slice(1)) reader?.close();
  const [last] = readers;
  t.equal(descriptorsBelow(layout.blobs), 1, 'one still reads');
  const later = await store.open(digest);
  t.equal(descriptorsBelow(layout.blobs), 1, 'and is joined');
  later?.close();
  t.ok(last && (await readToEnd(last)).equals(body));
  last?.close();
  last?.close();
  await until('the file is closed', () => descriptorsBelow(layout.blobs) === 0);
});

t.test('who reads what is removed and stored again reads on; who asks next gets the new file', async (t) => {
  const { store, layout } = await openRig(t);
  await store.put(digest, body);
  const before = await store.open(digest);
  await store.remove(digest, 'requested');
  t.equal(await store.open(digest), undefined, 'removed is removed, whoever still reads');
  await store.put(digest, body);
  const after = await store.open(digest);
  t.equal(descriptorsBelow(layout.blobs), 2);
  t.ok(before && (await readToEnd(before)).equals(body));
  t.ok(after && (await readToEnd(after)).equals(body));
  await until('both files are closed', () => descriptorsBelow(layout.blobs) === 0);
});

t.test('many who ask at once for what is not there leave nothing open', async (t) => {
  const { store, layout } = await openRig(t);
  const found = await Promise.all(Array.from({ length: 100 }, () => store.open(digest)));
  t.ok(found.every((reader) => reader === undefined));
  await store.put(digest, body);
  await rm(layout.shardOf(digest), { recursive: true });
  t.equal(await store.open(digest), undefined);
  t.equal(descriptorsBelow(layout.blobs), 0);
});

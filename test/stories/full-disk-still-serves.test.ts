import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { needs } from '../helpers/engines/needs.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { mountSmall } from '../helpers/small-disk.ts';
import { until } from '../helpers/waiting.ts';

const small = blobOf(MIB, 'small');
const large = blobOf(12 * MIB, 'large');
const later = blobOf(2 * MIB, 'later');
const pathOf = ({ digest }: { digest: string }): string => `/v2/team/app/blobs/${digest}`;

t.test('a disk that is full in the middle of a fill: clients get their content all the same', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const registry = await startRegistry(t);
  for (const blob of [small, large, later]) registry.push('team/app', blob);
  const directory = await mountSmall(t, 16);
  // The budget promises more than the file system has once somebody else has filled it.
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, directory });
  t.equal((await mirror.get(pathOf(small))).status, 200);
  const ballast = join(directory, 'ballast');
  await writeFile(ballast, Buffer.alloc(8 * MIB));

  const readers = await Promise.all([1, 2, 3].map(() => mirror.get(pathOf(large))));
  for (const { status, isComplete, body } of readers) {
    t.equal(status, 200);
    t.ok(isComplete && body.equals(large.body), 'complete and right');
  }
  t.equal((await mirror.get(pathOf(small))).status, 200, 'what is stored is served');
  await mirror.settled();
  t.equal(mirror.status().store.reservedBytes, 0, 'nothing stays reserved');

  await rm(ballast);
  await until('the disk is found to work again', async () => (await mirror.ready()) === 200);
  t.equal((await mirror.get(pathOf(later))).headers['cache-status'], 'hubcap; fwd=miss; stored');
  await mirror.settled();
  t.equal(
    (await mirror.get(pathOf(later))).headers['cache-status'],
    'hubcap; hit',
    'caching has resumed by itself',
  );
});

t.test('a disk that fills up under a running fill', async (t) => {
  if (!needs(t, 'root', 'mount', 'umount')) return;
  const registry = await startRegistry(t);
  registry.push('team/app', large);
  const directory = await mountSmall(t, 16);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } }, directory });
  const reader = await mirror.open(pathOf(large));
  // Whoever fills the disk now does it behind the reservation.
  await writeFile(join(directory, 'ballast'), Buffer.alloc(12 * MIB)).catch(() => undefined);
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(large.body), 'the reader goes on past the store');
  await mirror.settled();
  t.equal(mirror.status().fills.length, 0);
});

import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Repository } from '../../src/oci/reference.ts';
import { openDataDirectory } from '../../src/store/data-directory.ts';
import { blobOf, MIB } from '../helpers/content.ts';

const observer = {
  removed: () => undefined,
  found: () => undefined,
  fillEnded: () => undefined,
  discarded: () => undefined,
  storageFailed: (error: unknown) => {
    throw error;
  },
  storageWorks: () => undefined,
};
const now = () => 1_000_000;
const { digest, body } = blobOf(5000, 'pinned');
const size = body.length;

function open(directory: string) {
  return openDataDirectory({ directory, maxBytes: 10 * MIB, minFreeBytes: 0, observer, now });
}

async function openAfterLoss(t: Test, publicAtMs: number | undefined) {
  const directory = t.testdir();
  const repository = { upstream: 'registry.test', name: 'team/app' as Repository };
  const first = await open(directory);
  first.catalog.adopt(
    [{ repository, tag: undefined, digest, mediaType: 'x', size, contents: [] }],
    now(),
    publicAtMs,
  );
  const wish = {
    repository,
    reference: 'v1',
    origin: '/list',
    platforms: ['linux/arm64'],
    withReferrers: true,
  };
  first.pins.set(wish, digest, [{ digest, size }]);
  const pins = first.pins.list();
  first.close();
  rmSync(join(directory, 'v1/catalog.db'));
  return { directory, repository, pins };
}

t.test('pins are as they were, and who may be served what is pinned', async (t) => {
  for (const publicAtMs of [undefined, 0, 5]) {
    const { directory, repository, pins } = await openAfterLoss(t, publicAtMs);
    const opened = await open(directory);
    t.same(opened.pins.list(), pins);
    t.same(
      opened.pins.list().map((pin) => opened.pins.contents(pin)),
      [[{ digest, size }]],
    );
    t.equal(opened.pins.bytes, 8192);
    t.equal(opened.catalog.publicAt(repository), publicAtMs);
    t.notOk(opened.catalog.holds(repository, digest), 'it is not here');
    t.match(opened.unnamedPins, pins);
    opened.close();
  }
});

t.test('what is unpinned after a loss does not come back, whoever opens the directory next', async (t) => {
  const { directory, repository } = await openAfterLoss(t, undefined);
  const second = await open(directory);
  second.pins.delete(repository, 'v1', '/list');
  second.close();
  const third = await open(directory);
  t.equal(third.pins.count, 0);
  t.equal(third.unnamedPins.length, 1, 'nobody has named them yet');
  third.named();
  third.close();
  const fourth = await open(directory);
  t.equal(fourth.unnamedPins.length, 0);
  fourth.close();
});

t.test('a copy is written by who changed something alone, and none where there are no pins', async (t) => {
  const directory = t.testdir();
  const copy = join(directory, 'v1/pins.jsonl');
  const first = await open(directory);
  await first.copyPins();
  first.close();
  t.notOk(existsSync(copy));
});

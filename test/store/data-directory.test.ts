import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { openDataDirectory } from '../../src/store/data-directory.ts';
import { LayoutTooNewError } from '../../src/store/layout.ts';
import { MIB, writeDown } from './rig.ts';
import { bytesOf } from './source.ts';

const never = new AbortController().signal;

function optionsFor(directory: string, told: string[] = []) {
  return { directory, maxBytes: 8 * MIB, minFreeBytes: 0, observer: writeDown(told), now: Date.now };
}

t.test('a newer layout is refused, beside ours or alone, and nothing is made', async (t) => {
  for (const names of [['v2'], ['v1', 'v3'], ['v10']]) {
    const directory = join(t.testdir({}), names.join('-'));
    for (const name of names) await mkdir(join(directory, name), { recursive: true });
    const opening = openDataDirectory(optionsFor(directory));
    await t.rejects(opening, LayoutTooNewError);
    await t.rejects(openDataDirectory(optionsFor(directory)), {
      message: /newer hubcap, or use another data/,
    });
    t.same(readdirSync(directory), names);
  }
  const directory = join(t.testdir({}), 'others');
  await mkdir(join(directory, 'v0'), { recursive: true });
  await mkdir(join(directory, 'videos'));
  (await openDataDirectory(optionsFor(directory))).close();
});

t.test('without its catalog: content is served after it was proven, and the budget counts it', async (t) => {
  const directory = t.testdir({});
  const contents = [1, 2, 3, 4, 5, 6].map((seed) => bytesOf(MIB, seed));
  const digests = contents.map((content) => digestOf(content)) as [Digest, ...Digest[]];
  const first = await openDataDirectory(optionsFor(directory));
  for (const [at, content] of contents.entries()) await first.store.put(digests[at] ?? digests[0], content);
  first.close();
  for (const suffix of ['', '-wal', '-shm']) await rm(first.layout.catalog + suffix, { force: true });

  const told: string[] = [];
  const { store, reconcile, close, layout } = await openDataDirectory(optionsFor(directory, told));
  t.teardown(close);
  t.equal(store.objects, 0);
  t.ok((await store.readAll(digests[0], MIB))?.equals(contents[0] ?? Buffer.alloc(0)), 'served at once');
  const running = reconcile(never);
  const added = bytesOf(4 * MIB, 9);
  t.equal(await store.put(digestOf(added), added), true, 'serving goes on meanwhile');
  await running;
  await store.ledger.restore();
  t.ok(store.ledger.usedBytes <= 8 * MIB, 'the budget holds');
  const files = digests.filter((digest) => existsSync(layout.blob(digest)));
  t.equal(store.ledger.usedBytes, files.length * MIB + 4 * MIB, 'and is what is on disk');
  t.equal(store.objects, files.length + 1);
  t.notOk(told.some((said) => said.startsWith('found')));
});

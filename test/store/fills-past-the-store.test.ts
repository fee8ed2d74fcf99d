import { readdirSync } from 'node:fs';
import t from 'tap';
import { DigestMismatchError } from '../../src/store/errors.ts';
import type { OpenInput } from '../../src/store/fill-sources.ts';
import { MIB, openRig, type Rig } from './rig.ts';
import { bytesOf, readToEnd, Source } from './source.ts';

const SIZE = 3 * MIB;
const good = new Source(bytesOf(SIZE));
const { digest } = good;

function begin({ fills }: Rig, open: OpenInput, repository = 'library/alpine') {
  const origin = { upstream: 'docker.io', repository };
  return fills.begin({ digest, origin, open, isAboutRepository: () => true });
}

t.test('one download for all who ask at once, and for who comes while it is whole', async (t) => {
  const rig = await openRig(t, { maxBytes: MIB });
  const source = new Source(good.content, { allowed: MIB });
  const starts = await Promise.all(Array.from({ length: 20 }, () => begin(rig, source.open)));
  starts.push(await begin(rig, source.open, 'library/copy'));
  const readers = starts.map((start) => {
    if (start.kind !== 'bypass') throw new Error(`it is ${start.kind}`);
    return start.passage.reader();
  });
  t.same([rig.fills.size, rig.fills.readers, rig.fills.passages.size], [0, 21, 1]);
  source.allow();
  for (const got of await Promise.all(readers.map((reader) => readToEnd(reader)))) {
    if (!got.equals(good.content)) t.fail('other bytes');
  }
  t.same([source.asked, source.sent], [[0], SIZE]);
  t.same([rig.fills.readers, rig.fills.passages.size], [0, 0]);
  t.same(rig.told, ['fill passed']);
  t.same(readdirSync(rig.layout.fills), []);
});

t.test('wrong content is reported as any other', async (t) => {
  const rig = await openRig(t, { maxBytes: MIB });
  const start = await begin(rig, new Source(bytesOf(SIZE, 2)).open);
  if (start.kind !== 'bypass') throw new Error(`it is ${start.kind}`);
  await t.rejects(readToEnd(start.passage.reader()), DigestMismatchError);
  t.same(rig.told, ['discarded', 'fill mismatch']);
});

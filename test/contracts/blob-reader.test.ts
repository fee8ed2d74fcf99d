import { open } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Fill } from '../../src/store/fill.ts';
import { openRig } from '../store/rig.ts';
import { bytesOf, Source } from '../store/source.ts';
import { startPassages } from '../store/start-passage.ts';
import { checkBlobReader } from './blob-reader.ts';

checkBlobReader(t, 'stored', async (t, bytes) => {
  const { store } = await openRig(t);
  const { digest, content } = new Source(bytesOf(bytes));
  await store.put(digest, content);
  const reader = await store.open(digest);
  if (!reader) throw new Error('it is not stored');
  return { reader, content };
});

for (const [name, isComplete, recentBytes] of [
  ['filled', true, 0],
  ['filling, from the disk', false, 0],
  ['filling, from memory', false, 1e6],
] as const) {
  checkBlobReader(t, name, async (t, bytes) => {
    const source = new Source(bytesOf(bytes));
    const file = await open(join(t.testdir(), 'partial'), 'w+');
    t.teardown(() => file.close());
    const { digest, content, open: again } = source;
    const parts = {
      digest,
      file,
      found: 0,
      input: source.input(),
      openAgain: (signal: AbortSignal) => again({ from: 0, signal, purpose: 'again' }),
      discarded: () => undefined,
      pass: neverPassed,
      now: Date.now,
      abort: new AbortController(),
    };
    const fill = new Fill({
      ...parts,
      onWritten: () => undefined,
      makeRoom: async () => true,
      recentBytes: () => recentBytes,
    });
    if (isComplete) await fill.proven;
    return { reader: fill.reader(), content };
  });
}

checkBlobReader(
  t,
  'passing',
  async (_t, bytes) => {
    const source = new Source(bytesOf(bytes));
    const passage = await startPassages(source).join();
    return { reader: passage.reader(), content: source.content };
  },
  { isSeeking: false },
);

function neverPassed(): never {
  throw new Error('the disk has refused nothing');
}

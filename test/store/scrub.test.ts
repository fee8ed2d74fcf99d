import { writeFile } from 'node:fs/promises';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { type ScrubOptions, scrub } from '../../src/store/scrub.ts';
import { MIB, openRig } from './rig.ts';
import { bytesOf } from './source.ts';

const contents = [1, 2, 3].map((seed) => bytesOf(MIB, seed));

/** Time that passes only while the scrub sleeps. */
function timed(rounds: number, settings: Partial<ScrubOptions> = {}) {
  const stop = new AbortController();
  const seen = { nowMs: 0, reads: [] as { atMs: number; bytes: number }[], rounds: 0 };
  const roundMs = 60_000;
  const options: ScrubOptions = {
    bytesPerS: MIB,
    signal: stop.signal,
    onError: (error) => {
      throw error;
    },
    roundMs,
    elapsedMs: () => seen.nowMs,
    sleep: async (ms) => {
      seen.nowMs += Math.max(0, ms);
      if (seen.nowMs >= roundMs * rounds) stop.abort();
    },
    onRead: (bytes) => seen.reads.push({ atMs: seen.nowMs, bytes }),
    ...settings,
  };
  return { seen, options, stop };
}

t.test('everything is read once a round, smoothly at the pace', async (t) => {
  const rig = await openRig(t);
  for (const content of contents) await rig.store.put(digestOf(content), content);
  const { seen, options } = timed(2);
  await scrub(rig, options);
  t.equal(
    seen.reads.reduce((sum, { bytes }) => sum + bytes, 0),
    6 * MIB,
  );
  for (const [at, { atMs, bytes }] of seen.reads.entries()) {
    const before = seen.reads[at - 1];
    if (before && atMs < before.atMs + (before.bytes * 1000) / MIB - 1) t.fail('faster than the pace');
    if (bytes > 128 * 1024) t.fail('a large read');
  }
  t.ok(
    seen.reads.some(({ atMs }) => atMs >= 60_000),
    'the second round waits for its time',
  );
  t.same(rig.told, []);
});

t.test('an empty store is no busy loop', async (t) => {
  const rig = await openRig(t);
  let sleeps = 0;
  const { options, seen, stop } = timed(5);
  const sleep = options.sleep ?? (async () => undefined);
  await scrub(rig, {
    ...options,
    sleep: async (ms) => {
      sleeps += 1;
      t.equal(ms, 60_000);
      await sleep(ms, stop.signal);
    },
  });
  t.same([sleeps, seen.reads], [5, []]);
});

t.test('what it finds is set aside and told', async (t) => {
  const rig = await openRig(t);
  for (const content of contents) await rig.store.put(digestOf(content), content);
  const digest = digestOf(contents[1] ?? '');
  await writeFile(rig.layout.blob(digest), bytesOf(MIB, 9));
  await scrub(rig, timed(1).options);
  t.same(rig.told, ['removed damaged', 'found damaged']);
  t.equal(await rig.store.open(digest), undefined);
});

t.test('it begins anywhere, and stops at once', async (t) => {
  const rig = await openRig(t);
  const order = new Map(contents.map((content) => [digestOf(content), content] as const));
  for (const [digest, content] of order) await rig.store.put(digest, content);
  const firsts = new Set<number>();
  for (const beginning of [0, 0.25, 0.5, 0.999]) {
    const { options, stop, seen } = timed(1, { beginning });
    await scrub(rig, {
      ...options,
      onRead: (bytes) => {
        seen.reads.push({ atMs: 0, bytes });
        stop.abort();
      },
    });
    firsts.add(seen.reads.length);
  }
  t.same([...firsts], [1]);
});

t.test('off is off', async (t) => {
  const rig = await openRig(t);
  await scrub(rig, { ...timed(1).options, bytesPerS: 0 });
  t.pass();
});

/** What the peers do in trouble, found by real requests. */
import { setTimeout as delay } from 'node:timers/promises';
import { askManifest, pullLayer } from '../clients/probe.ts';
import type { Behaviour, Context } from '../scenario.ts';
import { startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { startLine } from '../servers/line.ts';
import type { Mirror, Peer } from '../servers/peers.ts';
import { format } from '../statistics.ts';
import { inTurn, Teardown } from '../teardown.ts';
import { observeBudget, observeRange } from './peers-limits.ts';
import {
  baseOf,
  expectRight,
  imageNamed,
  images,
  mebibyte,
  type Rig,
  rest,
  tagTtlSeconds,
} from './peers-rig.ts';

const lineBytesPerSecond = 100_000_000;
/** Of a tag that was believed a moment ago, and for all that a mirror notes behind an answer. */
const AFTER_TTL_MS = 1000 * tagTtlSeconds + 300;
const MOST_PULLS = 5;

export async function observe(context: Context, peer: Peer, behaviours: Behaviour[]): Promise<void> {
  const upstream = await startFaultyUpstream(context.teardown, [], images);
  const note = (name: string, found: string): void => {
    behaviours.push({ name, contestant: peer.contestant, found });
    context.say(`${peer.contestant}: ${name}: ${found}`);
  };
  const rig: Rig = { context, peer, upstream, note };
  await observeTrouble(rig);
  await observeRange(rig);
  await observeBudget(rig);
}

/** Each trouble meets an instance that was started for it: what it remembers of one must not decide the next. */
async function observeTrouble(rig: Rig): Promise<void> {
  const { context, peer, upstream } = rig;
  const whileUp = new Teardown();
  context.teardown.add(() => whileUp.run());
  const line = await startLine(whileUp, upstream.url, lineBytesPerSecond);
  const storage = await context.teardown.directory('peer'); // outlives those that use it
  const options = { upstreamUrl: line.url, tagTtlSeconds, storage };
  const during = (work: (mirror: Mirror, base: string) => Promise<void>): Promise<void> =>
    inTurn(context.teardown, async (fresh) => {
      const mirror = await peer.start(fresh, options);
      await work(mirror, baseOf(rig, mirror));
    });
  await during(async (mirror, base) => {
    // As engines pull: by tag, and what that names by digest.
    for (const reference of ['known', imageNamed(upstream, 'known').digest])
      await expectRight(base, upstream, 'known', reference);
    await rest(mirror);
    await countPlatforms(rig, mirror, line.sentBytes);
    await breakOff(rig, base, mirror, line.sentBytes);
    await flip(rig, base);
  });
  const troubles: [string, () => Promise<unknown>][] = [
    ['answers 500', () => upstream.misbehave({ refuse: 500 })],
    ['answers 429 with `Retry-After: 60`', () => upstream.misbehave({ refuse: 429 })],
    ['refuses connections', () => whileUp.run()],
  ];
  for (const [says, begin] of troubles) {
    await during(async (_, base) => {
      await expectRight(base, upstream, 'known');
      await begin();
      await delay(AFTER_TTL_MS);
      rig.note(`serves a cached tag while upstream ${says}`, await askKnown(rig, base));
    });
    await upstream.misbehave({});
  }
  await startAgain(rig, options);
}

/** @returns what a client that wants the cached tag gets */
async function askKnown({ upstream }: Rig, base: string): Promise<string> {
  const { status, digest, seconds } = await askManifest(`${base}/manifests/known`);
  const wait = seconds >= 1 ? ` after ${format(seconds)} s` : '';
  if (status === 0) return `no: no answer in ${format(seconds)} s`;
  if (status !== 200) return `no: ${status}${wait}`;
  return digest === imageNamed(upstream, 'known').digest ? `yes${wait}` : `no: another manifest${wait}`;
}

/** A client wants one of two platforms. */
async function countPlatforms(rig: Rig, mirror: Mirror, sentBytes: () => number): Promise<void> {
  const { upstream, note } = rig;
  const image = imageNamed(upstream, 'platforms');
  const [layer] = image.layers;
  if (!layer) throw new Error('no layer');
  const sentBefore = sentBytes();
  const base = baseOf(rig, mirror);
  const top = await askManifest(`${base}/manifests/platforms`);
  const pulled = await pullLayer(base, image.manifest, layer.digest);
  await rest(mirror);
  const ratio = (sentBytes() - sentBefore) / layer.size;
  const isRight = pulled.isRight && top.digest === image.digest;
  note('bytes from upstream / size, one of two platforms', isRight ? format(ratio) : 'the pull failed');
}

/** The connection breaks once in the middle of the layer; a client that fails begins anew. */
async function breakOff(rig: Rig, base: string, mirror: Mirror, sentBytes: () => number): Promise<void> {
  const { upstream, note } = rig;
  const [layer] = imageNamed(upstream, 'broken').layers;
  if (!layer) throw new Error('no layer');
  await upstream.misbehave({ breakAt: [(layer.size >> 1) + mebibyte] }); // not where a slice ends
  const sentBefore = sentBytes();
  let pulls = 0;
  let isRight = false;
  for (; !isRight && pulls < MOST_PULLS; pulls++) {
    ({ isRight } = await pullLayer(base, 'broken', layer.digest));
  }
  await rest(mirror);
  const ratio = format((sentBytes() - sentBefore) / layer.size);
  const breaks = await upstream.misbehave({});
  if (breaks !== 1) throw new Error('the connection did not break', { cause: breaks });
  const whole = isRight ? `at pull ${pulls}` : `not in ${pulls} pulls`;
  note('a download that breaks off half-way is whole', `${whole}; ${ratio} × the bytes`);
}

/** One bit of whatever blob is asked for is another; then upstream is right again. */
async function flip({ upstream, note }: Rig, base: string): Promise<void> {
  const [layer] = imageNamed(upstream, 'wrong').layers;
  if (!layer) throw new Error('no layer');
  await upstream.misbehave({ flips: Number.MAX_SAFE_INTEGER });
  const wrong = await pullLayer(base, 'wrong', layer.digest);
  await upstream.misbehave({});
  const next = await pullLayer(base, 'wrong', layer.digest);
  const { isComplete, isRight, manifestStatus, layerStatus } = wrong;
  if (isRight) throw new Error('the content was right');
  const status = layerStatus === 0 ? `manifest ${manifestStatus}` : `layer ${layerStatus}`;
  note('wrong content reaches a client as complete', isComplete ? 'yes' : `no: ${status}, not whole`);
  const kept = next.isComplete && !next.isRight ? 'no: the wrong content is kept' : 'no: refused';
  note('the next pull is right when upstream is', next.isRight ? 'yes' : kept);
}

/** With the storage that it had, and nothing at upstream's address. */
async function startAgain(
  rig: Rig,
  options: { upstreamUrl: string; tagTtlSeconds: number; storage: string },
): Promise<void> {
  const { context, peer, upstream, note } = rig;
  const name = 'started while upstream is down, serves what it has';
  const mirror = await peer.start(context.teardown, options).catch(() => undefined);
  if (!mirror) return note(name, 'no: does not start');
  const base = baseOf(rig, mirror);
  const image = imageNamed(upstream, 'known');
  const [layer] = image.layers;
  const byTag = await askKnown(rig, base);
  const byDigest = await pullLayer(base, image.digest, layer?.digest ?? '');
  const isAll = byTag.startsWith('yes') && byDigest.isRight;
  note(name, isAll ? byTag : `tag: ${byTag}; by digest: ${byDigest.isRight ? 'yes' : 'no'}`);
}

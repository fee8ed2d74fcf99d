/** What the peers do with a range of a cold blob, and with a budget of disk; found by real requests. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { imageOf } from '../../test/helpers/content.ts';
import { askManifest } from '../clients/probe.ts';
import { attempt } from '../clients/resuming.ts';
import { diskBytes } from '../servers/disk.ts';
import { startLine } from '../servers/line.ts';
import { format } from '../statistics.ts';
import {
  baseOf,
  expectRight,
  filling,
  fillingBytes,
  imageNamed,
  mebibyte,
  type Rig,
  rest,
  tagTtlSeconds,
} from './peers-rig.ts';

const lineBytesPerSecond = 8_000_000;
const endBytes = 4096;
const budgetBytes = 64 * mebibyte;
const BUDGET_PATIENCE_MS = 12_000;

/** The last bytes of a layer that nobody has yet, over a slow line. "At once" is a share of what was sent by then. */
export async function observeRange(rig: Rig): Promise<void> {
  const { context, peer, upstream, note } = rig;
  const line = await startLine(context.teardown, upstream.url, lineBytesPerSecond);
  const mirror = await peer.start(context.teardown, { upstreamUrl: line.url, tagTtlSeconds });
  const base = baseOf(rig, mirror);
  const [layer] = imageNamed(upstream, 'ranged').layers;
  if (!layer) throw new Error('no layer');
  const sentBefore = line.sentBytes();
  const manifest = await askManifest(`${base}/manifests/ranged`);
  if (manifest.status !== 200) return note('Range on a cold blob', `manifest ${manifest.status}`);
  const hash = createHash('sha256');
  const made = await attempt(`${base}/blobs/${layer.digest}`, { from: layer.size - endBytes, hash });
  const percent = Math.round((100 * (line.sentBytes() - sentBefore)) / layer.size);
  const wanted = createHash('sha256').update(endOf('ranged', layer.size)).digest('hex');
  const isRange = made.status === 206 && made.bytes === endBytes && hash.digest('hex') === wanted;
  const whole = made.status === 200 ? '200, the whole' : `status ${made.status}`;
  const by = `when upstream had sent ${percent} %`;
  note('the last 4 KiB of a cold blob by Range', `${isRange ? '206' : whole}, ${by}`);
  await mirror.server.stop(); // before the rest comes down the line
}

/** Twice what the budget holds: the most that was on disk, and what is there when it has come to rest. */
export async function observeBudget(rig: Rig): Promise<void> {
  const { context, peer, upstream, note } = rig;
  const mirror = await peer.start(context.teardown, {
    upstreamUrl: upstream.url,
    tagTtlSeconds,
    budgetBytes,
  });
  const base = baseOf(rig, mirror);
  let most = 0;
  const look = async (): Promise<number> => {
    const bytes = await diskBytes(mirror.storage);
    most = Math.max(most, bytes);
    return bytes / budgetBytes;
  };
  for (const tag of filling) {
    await expectRight(base, upstream, tag);
    await look();
  }
  await rest(mirror);
  let ratio = await look();
  // nginx looks at its size every ten seconds.
  const deadline = performance.now() + BUDGET_PATIENCE_MS;
  for (; peer.hasBudget && ratio > 1 && performance.now() < deadline; ratio = await look()) await delay(250);
  const found = `${format(most / budgetBytes)} × at most, ${format(ratio)} × at rest`;
  note(
    `on disk after ${(filling.length * fillingBytes) / mebibyte} MiB of images / a budget of 64 MiB`,
    peer.hasBudget ? found : `no budget to set; ${format(ratio)} ×`,
  );
}

function endOf(tag: string, size: number): Buffer {
  const [layer] = imageOf(`bench/${tag}`, [size]).layers;
  return layer?.body.subarray(size - endBytes) ?? Buffer.alloc(0);
}

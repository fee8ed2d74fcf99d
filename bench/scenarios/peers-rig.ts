/** Owns what the looks at the peers' behaviour share: the images upstream, and pulling them through a mirror. */
import { PATIENCE_MS, pullLayer } from '../clients/probe.ts';
import { waitUntilIdle } from '../cpu.ts';
import type { Context } from '../scenario.ts';
import type { FaultyUpstream, ImageSpec, Pushed } from '../servers/faulty-upstream.ts';
import { type Mirror, type Peer, pidsOf } from '../servers/peers.ts';

export const mebibyte = 1024 * 1024;
export const tagTtlSeconds = 1;

export const filling = Array.from({ length: 8 }, (_, i) => `filling-${i}`);
export const fillingBytes = 16 * mebibyte;

export const images: readonly ImageSpec[] = [
  { tag: 'known', layerBytes: [mebibyte] },
  { tag: 'broken', layerBytes: [32 * mebibyte] },
  { tag: 'wrong', layerBytes: [8 * mebibyte] },
  { tag: 'ranged', layerBytes: [16 * mebibyte] },
  { tag: 'platforms', layerBytes: [8 * mebibyte], architectures: ['amd64', 'arm64'] },
  ...filling.map((tag) => ({ tag, layerBytes: [fillingBytes] })),
];

export interface Rig {
  context: Context;
  peer: Peer;
  upstream: FaultyUpstream;
  note(name: string, found: string): void;
}

/** @throws where what no trouble stands in the way of does not come */
export async function expectRight(
  base: string,
  upstream: FaultyUpstream,
  tag: string,
  reference = tag,
): Promise<void> {
  const [layer] = imageNamed(upstream, tag).layers;
  const pulled = await pullLayer(base, reference, layer?.digest ?? '');
  if (!pulled.isRight) throw new Error('a plain pull failed', { cause: { base, tag, pulled } });
}

/** What it downloads behind its clients' backs has come. */
export async function rest({ server }: Mirror): Promise<void> {
  await Promise.all((await pidsOf(server.pid)).map((pid) => waitUntilIdle(pid, PATIENCE_MS)));
}

/** The URL of the repository at a mirror. */
export function baseOf({ upstream }: Rig, { url }: Mirror): string {
  return `${url}/v2/${upstream.repository}`;
}

export function imageNamed({ pushed }: FaultyUpstream, tag: string): Pushed {
  const image = pushed.find((one) => one.tag === tag);
  if (!image) throw new Error('no such image', { cause: tag });
  return image;
}

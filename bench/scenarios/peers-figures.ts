/** What the peers cost, as ratios of one run: cold readers, cached manifests, cached blobs, memory. */
import { setTimeout as delay } from 'node:timers/promises';
import { runCurls } from '../clients/curl.ts';
import { accept, fetchManifest } from '../clients/manifest.ts';
import { read } from '../clients/readers.ts';
import { waitUntilIdle } from '../cpu.ts';
import type { Contestant, Context, Sheet } from '../scenario.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { type Line, startLine } from '../servers/line.ts';
import { cpuOf, type Mirror, type Peer, pidsOf, rssOf } from '../servers/peers.ts';
import { format, median } from '../statistics.ts';
import { runWrk } from '../wrk.ts';

const mebibyte = 1024 * 1024;
const readers = 16;
const layerBytes = 100 * mebibyte;
const lineBytesPerSecond = 200_000_000;
const tag = 'layer';
const connections = 16;
/** Long enough that no tag is asked about again because of its age while requests are counted. */
const tagTtlSeconds = 60;

const cold = `${readers} clients pull one cold image of 100 MiB at once`;
const warm = 'cached manifest';
const blob = 'cached blob of 100 MiB';

interface Rig {
  context: Context;
  sheet: Sheet;
  upstream: FaultyUpstream;
  line: Line;
}

interface Contender {
  contestant: Contestant;
  mirror: Mirror;
}

export async function measureFigures(context: Context, peers: readonly Peer[], sheet: Sheet): Promise<void> {
  const { teardown } = context;
  const upstream = await startFaultyUpstream(teardown, [], [{ tag, layerBytes: [layerBytes] }]);
  const line = await startLine(teardown, upstream.url, lineBytesPerSecond);
  const rig: Rig = { context, sheet, upstream, line };
  const alone = [];
  for (let round = 0; round < 3; round++) alone.push((await pullAll(rig, upstreamOf(line), 1)).totalMs);
  const aloneMs = median(alone);
  await measureCold(rig, 'direct', upstreamOf(line), aloneMs);
  const contenders: Contender[] = [];
  for (const peer of peers) {
    const mirror = await peer.start(teardown, { upstreamUrl: line.url, tagTtlSeconds });
    contenders.push({ contestant: peer.contestant, mirror });
    await measureCold(rig, peer.contestant, mirror, aloneMs);
  }
  await measureManifests(rig, contenders);
  await measureBlobs(rig, contenders);
  for (const { contestant, mirror } of contenders) {
    sheet.note('after all of these', 'MiB RSS', contestant, (await rssOf(mirror)) / mebibyte);
  }
}

const upstreamOf = ({ url }: Line): { url: string } => ({ url });

interface Pulls {
  /** from asking for the tag to the first byte of the layer, of the client that waited longest */
  firstByteMs: number;
  totalMs: number;
  failures: number;
}

/** The manifest by tag and then the layer, by so many clients at once; the first looks at the digest. */
async function pullAll({ upstream }: Rig, { url }: { url: string }, clients: number): Promise<Pulls> {
  const [image] = upstream.pushed;
  const [layer] = image?.layers ?? [];
  if (!layer) throw new Error('no image');
  const base = `${url}/v2/${upstream.repository}`;
  const startedAt = performance.now();
  const results = await Promise.allSettled(
    Array.from({ length: clients }, async (_, i) => {
      await fetchManifest(`${base}/manifests/${tag}`);
      const beforeMs = performance.now() - startedAt;
      const digest = i === 0 ? layer.digest : undefined;
      const { firstByteMs } = await read(`${base}/blobs/${layer.digest}`, { digest });
      return beforeMs + firstByteMs;
    }),
  );
  const waits = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  return {
    firstByteMs: Math.max(...waits),
    totalMs: performance.now() - startedAt,
    failures: clients - waits.length,
  };
}

async function measureCold(
  rig: Rig,
  contestant: Contestant,
  mirror: Mirror | { url: string },
  aloneMs: number,
) {
  const { context, sheet, upstream, line } = rig;
  const isMirror = 'server' in mirror;
  const cpuBefore = isMirror ? await cpuOf(mirror) : 0;
  await upstream.count();
  const sentBefore = line.sentBytes();
  const found = await pullAll(rig, mirror, readers);
  // What it downloads behind its clients' backs counts too.
  if (isMirror) await Promise.all((await pidsOf(mirror.server.pid)).map((pid) => waitUntilIdle(pid)));
  const asked = await upstream.count();
  const ratio = (line.sentBytes() - sentBefore) / layerBytes;
  const note = (unit: string, value: number): void => sheet.note(cold, unit, contestant, value);
  note('clients that failed', found.failures);
  note('GETs of blobs upstream', asked.blobGets);
  note('GETs of manifests upstream', asked.manifestGets);
  note('bytes from upstream / size', ratio);
  note('first byte at the last client / one direct pull', found.firstByteMs / aloneMs);
  note('until all have all / one direct pull', found.totalMs / aloneMs);
  if (isMirror)
    note(
      'CPU-s of the mirror per GB served',
      ((await cpuOf(mirror)) - cpuBefore) / ((readers * layerBytes) / 1e9),
    );
  context.say(
    `${cold}, ${contestant}: ${format(ratio)} × from upstream, first byte after ${format(found.firstByteMs)} ms, ${format(found.totalMs)} ms, ${found.failures} failed (one direct pull: ${format(aloneMs)} ms)`,
  );
}

/** By docker-registry's rate in the same round. What upstream is asked is counted over all rounds. */
async function measureManifests({ context, sheet, upstream }: Rig, contenders: Contender[]): Promise<void> {
  const { isQuick, say } = context;
  const [image] = upstream.pushed;
  if (!image) throw new Error('no image');
  const references = { 'by digest': image.digest, 'by tag': image.tag };
  for (const [kind, reference] of Object.entries(references)) {
    const name = `${warm} ${kind}`;
    for (let round = 0; round < (isQuick ? 1 : 2); round++) {
      const rates = new Map<Contestant, number>();
      for (const { contestant, mirror } of contenders) {
        const url = `${mirror.url}/v2/${upstream.repository}/manifests/${reference}`;
        for (let i = 0; i < 2; i++) await fetchManifest(url);
        await upstream.count();
        const load = { url, connections, headers: { accept }, seconds: isQuick ? 1 : 2 };
        const { requests, requestsPerSecond } = await runWrk(load);
        await delay(100); // what is asked behind the last answer
        const asked = await upstream.count();
        rates.set(contestant, requestsPerSecond);
        sheet.note(name, 'requests upstream per 1,000', contestant, (1000 * asked.requests) / requests);
        say(
          `${name}, ${contestant}: ${format(requestsPerSecond)} requests/s, ${asked.requests} of ${requests} upstream`,
        );
      }
      noteRatios(sheet, name, 'requests/s / docker-registry', rates, 'docker-registry');
    }
  }
}

/** By nginx's rate in the same round. */
async function measureBlobs({ context, sheet, upstream }: Rig, contenders: Contender[]): Promise<void> {
  const { isQuick, say } = context;
  const digest = upstream.pushed[0]?.layers[0]?.digest;
  for (let round = 0; round <= (isQuick ? 1 : 3); round++) {
    const rates = new Map<Contestant, number>();
    const costs = new Map<Contestant, number>();
    for (const { contestant, mirror } of contenders) {
      const transfers = {
        url: `${mirror.url}/v2/${upstream.repository}/blobs/${digest}`,
        bytes: layerBytes,
        parallel: 4,
        each: round === 0 ? 1 : 3, // the first has it in the page cache
      };
      const cpuBefore = await cpuOf(mirror);
      const startedAt = performance.now();
      const gigabytes = (await runCurls(transfers)) / 1e9;
      rates.set(contestant, gigabytes / ((performance.now() - startedAt) / 1000));
      costs.set(contestant, ((await cpuOf(mirror)) - cpuBefore) / gigabytes);
      say(`${blob}, ${contestant}: ${format(costs.get(contestant) ?? Number.NaN)} CPU-s per GB`);
    }
    if (round === 0) continue;
    noteRatios(sheet, blob, 'GB/s / nginx cache', rates, 'nginx cache');
    noteRatios(sheet, blob, 'CPU-s per GB / nginx cache', costs, 'nginx cache');
    for (const [contestant, cost] of costs) sheet.note(blob, 'CPU-s per GB', contestant, cost);
  }
  say(`${blob}: ${format(median(sheet.rounds(blob, 'CPU-s per GB', 'nginx cache')))} CPU-s per GB of nginx`);
}

function noteRatios(
  sheet: Sheet,
  name: string,
  unit: string,
  values: ReadonlyMap<Contestant, number>,
  base: Contestant,
): void {
  const under = values.get(base) ?? Number.NaN;
  for (const [contestant, value] of values) sheet.note(name, unit, contestant, value / under);
}

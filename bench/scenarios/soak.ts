/** A thousand mixed clients for some minutes, an upstream in trouble, a budget that is too small: is all flat at the end? */
import { setTimeout as delay } from 'node:timers/promises';
import { type Crowd, startCrowd, type Tally } from '../clients/crowd.ts';
import { waitUntilIdle } from '../cpu.ts';
import { type Sample, sample, sampleFor } from '../sampler.ts';
import { type Check, type Context, type Scenario, Sheet } from '../scenario.ts';
import { type FaultyUpstream, startFaultyUpstream } from '../servers/faulty-upstream.ts';
import { type Hubcap, startHubcap } from '../servers/hubcap.ts';
import { format } from '../statistics.ts';
import { mostRise, type Trend, trendOf } from '../trend.ts';

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const clients = 1000;
const seconds = Number(process.env.SOAK_SECONDS || 180);
const quickSeconds = 20;
/** Of a client; a thousand of them ask some 150 times a second, which leaves the processors some air. */
const pauseMs = 6000;
const budgetBytes = 48 * mebibyte;

const sizes = [16, 64, 100, 300, 700, 1500, 3000].map((kibibytes) => kibibytes * kibibyte);
/** 83 MB: nearly half of it is always missing. */
const blobs = Array.from({ length: 100 }, (_, i) => ({
  bytes: (sizes[i % sizes.length] ?? 1) + i,
  seed: `soak/${i}`,
}));
const oversize = { bytes: 80 * mebibyte, seed: 'soak/oversize' };
const images = Array.from({ length: 30 }, (_, i) => ({ tag: `v${i}`, layerBytes: [1000 + i, 50_000 + i] }));
const trouble = { seed: 7, errors: 20, limits: 2, breaks: 20, slow: 100 };
const SETTLE_MS = 6_000;
/** hubcap's default; it keeps them for the next request. */
const upstreamConnections = 32;

const name = `${clients.toLocaleString('en-US')} mixed clients`;

export const soak: Scenario = {
  name: 'soak',
  describe: `${name}, an upstream in trouble, a budget of ${budgetBytes / mebibyte} MiB`,
  needs: [],
  async run(context) {
    const { teardown, isQuick, say } = context;
    const upstream = await startFaultyUpstream(teardown, [...blobs, oversize], images);
    const hubcap = await startHubcap(teardown, {
      upstreamUrl: upstream.url,
      maxSize: `${budgetBytes}B`,
      upstream: { tagTtl: '5s' },
      http: { maxConnections: 4 * clients },
    });
    await upstream.misbehave({ trouble });
    const look = (): Promise<Sample> => sample(hubcap.server.pid, hubcap.adminUrl);
    const before = await look();
    const crowd = await startSoakCrowd(context, upstream, hubcap);
    const samples = await sampleFor(hubcap.server.pid, hubcap.adminUrl, isQuick ? quickSeconds : seconds);
    const tally = await crowd.stop();
    await delay(SETTLE_MS); // clients are gone, and what they began is finished
    await waitUntilIdle(hubcap.server.pid, 60_000);
    const after = await look();
    say(
      `${name}: ${Object.entries(tally)
        .map(([key, value]) => `${key} ${format(value)}`)
        .join(', ')}`,
    );
    const found = { samples, before, after, tally };
    return { measurements: note(found).measurements, checks: checks(found) };
  },
};

interface Found {
  samples: Sample[];
  before: Sample;
  after: Sample;
  tally: Tally;
}

function startSoakCrowd({ teardown }: Context, upstream: FaultyUpstream, hubcap: Hubcap): Promise<Crowd> {
  const known = [...blobs, oversize].map((spec, i) => ({ ...spec, digest: upstream.blobs[i]?.digest ?? '' }));
  const [last] = known.splice(-1);
  if (!last) throw new Error('no blobs');
  return startCrowd(teardown, {
    url: hubcap.url,
    repository: upstream.repository,
    blobs: known,
    oversize: last,
    tags: images.map(({ tag }) => tag),
    manifests: upstream.images,
    clients,
    seed: 11,
    pauseMs,
  });
}

interface Gauge {
  unit: string;
  read: (sample: Sample) => number;
  /** flat: rises over the last half by no more than this share of its level, or by `floor` */
  share: number;
  floor: number;
}

const gauges: readonly Gauge[] = [
  { unit: 'MiB RSS', read: ({ rssBytes }) => rssBytes / mebibyte, share: 0.05, floor: 16 },
  { unit: 'MiB heap in use', read: ({ heapBytes }) => heapBytes / mebibyte, share: 0.1, floor: 16 },
  { unit: 'descriptors', read: ({ descriptors }) => descriptors, share: 0.1, floor: 32 },
  { unit: 'ms event-loop delay, 99th percentile', read: ({ lagP99Ms }) => lagP99Ms, share: 0.25, floor: 10 },
  { unit: 'fills in flight', read: ({ fills }) => fills, share: 0.25, floor: 8 },
];

const trendsOf = (samples: readonly Sample[]): { gauge: Gauge; trend: Trend }[] =>
  gauges.map((gauge) => ({ gauge, trend: trendOf(samples.map(gauge.read)) }));

function note({ samples, before, after, tally }: Found): Sheet {
  const sheet = new Sheet();
  for (const { gauge, trend } of trendsOf(samples)) {
    const { unit, read } = gauge;
    sheet.note(name, `${unit}: before`, 'hubcap', read(before));
    sheet.note(name, `${unit}: peak`, 'hubcap', trend.peak);
    sheet.note(name, `${unit}: at the end`, 'hubcap', trend.end);
    sheet.note(name, `${unit}: rise over the last half`, 'hubcap', trend.rise);
    sheet.note(name, `${unit}: at rest afterwards`, 'hubcap', read(after));
  }
  sheet.note(
    name,
    'ms event-loop delay, the worst',
    'hubcap',
    Math.max(...samples.map(({ lagMaxMs }) => lagMaxMs)),
  );
  for (const [what, value] of Object.entries(tally)) sheet.note(name, `answers: ${what}`, 'hubcap', value);
  return sheet;
}

function checks({ samples, before, after, tally }: Found): Check[] {
  const flat = trendsOf(samples).map(({ gauge: { unit, share, floor }, trend }) => {
    const most = mostRise(trend, share, floor);
    return {
      name: `${name}: ${unit}: rise over the last half`,
      target: `≤ ${format(most)} (${share * 100} % or ${floor})`,
      found: format(trend.rise),
      passed: trend.rise <= most,
    };
  });
  const zero = (what: string, value: number): Check => ({
    name: `${name}: ${what}`,
    target: '0',
    found: format(value),
    passed: value === 0,
  });
  const kept = after.descriptors - before.descriptors;
  const overBudget = Math.max(
    ...samples.map(({ storeBytes, reservedBytes }) => storeBytes + reservedBytes - budgetBytes),
  );
  return [
    ...flat,
    zero('complete responses with wrong bytes', tally.wrong),
    zero('answers of an unexpected status', tally.unexpected),
    zero('fills and reserved bytes at rest', after.fills + after.reservedBytes),
    zero('bytes stored and reserved beyond the budget', Math.max(0, overBudget)),
    {
      name: `${name}: descriptors at rest, more than before`,
      target: `≤ ${upstreamConnections} for upstream + 8`,
      found: format(kept),
      passed: kept <= upstreamConnections + 8,
    },
  ];
}

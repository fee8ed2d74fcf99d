import t, { type Test } from 'tap';
import { seedStore } from '../bench/seed-store.ts';
import { chooseFormat } from '../src/admin/exposition.ts';
import { Metrics } from '../src/metrics.ts';
import { OUTCOMES } from '../src/outcome.ts';
import { fetch } from './helpers/client.ts';
import { makeClock } from './helpers/clock.ts';
import { imageOf, KIB } from './helpers/content.ts';
import { makeDirectory, type RunningMirror, startMirror } from './helpers/mirror.ts';
import { blobDownloads, failing, type Meter, metered, only, stalling, tokened } from './helpers/personas.ts';
import { startRegistry } from './helpers/registry.ts';
import { startTokenServer } from './helpers/token-server.ts';
import { makeGate, until } from './helpers/waiting.ts';

const PROMETHEUS_2 =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const PROMETHEUS_3 =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2';
const image = imageOf('measured', [300 * KIB]);
const latest = '/v2/team/app/manifests/latest';
const layer = `/v2/team/app/blobs/${image.layers[0]?.digest}`;

async function page({ admin }: RunningMirror, accept = 'text/plain'): Promise<string> {
  return (await fetch(`${admin}/metrics`, { headers: { accept } })).body.toString();
}

/** What stands before the value, of each sample. */
function seriesIn(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')))
    .sort();
}

const of = (upstream: string, text: string): string[] =>
  seriesIn(text).filter((one) => one.includes(`upstream="${upstream}"`));

async function start(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  return { registry, mirror };
}

t.test('the format is the one that the client likes best', async (t) => {
  const cases: [accept: string | undefined, is: 'text' | 'openmetrics'][] = [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    [PROMETHEUS_2, 'openmetrics'],
    [PROMETHEUS_3, 'openmetrics'],
    ['text/plain;version=0.0.4;q=0.5,*/*;q=0.1', 'text'],
    ['application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text; version="1.0.0"', 'openmetrics'],
    ['application/openmetrics-text;version=0.0.1', 'text'],
    ['application/openmetrics-text;version=1.0.0;q=0.2,text/plain;q=0.3', 'text'],
    ['application/openmetrics-text;q=0,*/*', 'text'],
    ['application/*;q=0.9,text/*;q=0.1', 'openmetrics'],
    ['Application/OpenMetrics-Text; Q=0.5, text/plain; q=0.4', 'openmetrics'],
    ['text/plain,application/openmetrics-text', 'text'],
    ['text/html', 'text'],
    ['application/openmetrics-text;q=nonsense,text/plain;q=0.1', 'text'],
  ];
  for (const [accept, is] of cases) t.equal(chooseFormat(accept), is, accept ?? 'nothing said');
});

t.test('both formats have the same series', async (t) => {
  const { mirror } = await start(t);
  await mirror.manifest(latest);
  await mirror.get(layer);
  await mirror.settled();
  for (const accept of ['text/plain', PROMETHEUS_2]) await page(mirror, accept); // what is first counted by a scrape
  const [text, open] = [await page(mirror), await page(mirror, PROMETHEUS_2)];
  t.same(seriesIn(open), seriesIn(text));
  t.ok(
    seriesIn(text).includes('hubcap_request_duration_seconds_bucket{le="1.0",kind="blob",outcome="miss"}'),
  );
  t.ok(open.endsWith('\n# EOF\n'));
  t.notMatch(text, '# EOF');
  t.match(open, '# TYPE hubcap_requests counter\n', 'the family of a counter has no _total');
  t.match(open, '\n# UNIT hubcap_request_duration_seconds seconds\n');
  t.match(text, '# TYPE hubcap_requests_total counter\n');
  const { headers } = await fetch(`${mirror.admin}/metrics`, { headers: { accept: PROMETHEUS_2 } });
  t.equal(headers['content-type'], 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  t.match(headers.vary, 'accept');
  t.match((await fetch(`${mirror.admin}/metrics`)).headers, {
    'content-type': /^text\/plain; version=0\.0\.4/,
  });
});

t.test('what can happen is counted from 0', async (t) => {
  const { mirror } = await start(t);
  const series = new Set(seriesIn(await page(mirror)));
  const upstream = 'upstream="registry.test"';
  const expected = [
    ...['manifest', 'blob'].flatMap((kind) =>
      OUTCOMES.map((outcome) => `hubcap_requests_total{${upstream},kind="${kind}",outcome="${outcome}"}`),
    ),
    ...['absent', 'denied', 'offline', 'throttled', 'unavailable'].map(
      (reason) => `hubcap_misses_total{${upstream},reason="${reason}"}`,
    ),
    ...['fetched', 'refused', 'failed'].map(
      (result) => `hubcap_tokens_total{${upstream},result="${result}"}`,
    ),
    ...['timeout', 'refused', 'throttled', 'server-error'].map(
      (reason) => `hubcap_upstream_failures_total{${upstream},reason="${reason}"}`,
    ),
    ...['store', 'fill', 'bypass'].map(
      (source) => `hubcap_served_bytes_total{${upstream},source="${source}"}`,
    ),
    `hubcap_upstream_bytes_total{${upstream}}`,
    `hubcap_upstream_up{${upstream}}`,
    ...['stored', 'mismatch', 'failed', 'left'].map((result) => `hubcap_fills_total{result="${result}"}`),
    ...['budget', 'minFree', 'requested', 'missing', 'damaged'].map(
      (reason) => `hubcap_evictions_total{reason="${reason}"}`,
    ),
    'hubcap_store_findings_total{kind="damaged"}',
    'hubcap_storage_errors_total',
    'hubcap_evicted_idle_seconds_bucket{le="60.0"}',
    'hubcap_config_reloads_total{result="failure"}',
    'hubcap_prewarm_runs_total{result="failed"}',
  ];
  t.same(
    expected.filter((one) => !series.has(one)),
    [],
  );
  t.equal(await mirror.metric('hubcap_upstream_up'), 1, 'nothing says that it is down');
});

t.test('a removed upstream leaves nothing, and what still ends of it brings nothing back', async (t) => {
  const { registry, mirror } = await start(t);
  const other = await startRegistry(t);
  other.push('team/app', image, 'latest');
  const one = { 'registry.test': { at: registry } };
  const two = { ...one, 'other.test': { at: other } };
  await mirror.reload({ upstreams: two });
  t.ok(of('other.test', await page(mirror)).length > 20, 'it is there before it was asked');
  const gate = makeGate();
  other.act(only(blobDownloads, stalling(150 * KIB, gate.opened)));
  await mirror.manifest(`${latest}?ns=other.test`);
  const reader = await mirror.open(`${layer}?ns=other.test`);
  await reader.receive(KIB);
  await mirror.reload({ upstreams: one });
  t.same(of('other.test', await page(mirror)), []);
  const served = mirror.status().totals?.servedBytes.fill ?? 0;
  gate.open();
  t.ok((await reader.ended).isComplete);
  await mirror.settled();
  await until('its end is counted', () => (mirror.status().totals?.servedBytes.fill ?? 0) > served);
  t.same(of('other.test', await page(mirror)), []);
  t.ok(of('registry.test', await page(mirror)).length > 20, 'the others keep theirs');
  await mirror.reload({ upstreams: two });
  await mirror.manifest(`${latest}?ns=other.test`);
  t.equal(await mirror.metric('hubcap_requests_total', 'other.test', 'kind="manifest"'), 1, 'it counts anew');
});

t.test('pulls that are left are told by account, and no longer than that holds', async (t) => {
  const registry = await startRegistry(t);
  for (const tag of ['one', 'two']) registry.push('team/app', imageOf(tag, [100]), tag);
  const logins = ['anna', 'bert'].map((username) => ({ username, password: `secret-of-${username}` }));
  const tokens = await startTokenServer(t, { logins });
  const meter: Meter = { left: { anna: 2, bert: 0 }, said: { limit: 2, windowS: 3600 }, pulled: [] };
  registry.act(tokened(tokens), metered(tokens, meter));
  const clock = makeClock();
  const as = (...names: string[]) => ({
    'registry.test': {
      ...{ at: registry, realms: [tokens.host], private: ['*'], tagTtlMs: 0 },
      credentials: logins
        .filter(({ username }) => names.includes(username))
        .map((login) => ({ kind: 'password' as const, ...login })),
    },
  });
  const mirror = await startMirror(t, { upstreams: as('anna'), now: clock.now });
  const limits = async () => seriesIn(await page(mirror)).filter((one) => one.includes('account='));
  t.same(await limits(), []);
  await mirror.manifest('/v2/team/app/manifests/one');
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_limit', 'account="anna"'), 2);
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_remaining', 'account="anna"'), 1);
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_window_seconds', 'account="anna"'), 3600);
  clock.pass(3600_001);
  t.same(await limits(), [], 'the window is over: nobody knows what is left');
  await mirror.reload({ upstreams: as('bert'), now: clock.now });
  t.equal((await mirror.manifest('/v2/team/app/manifests/two')).status, 429);
  t.equal(await mirror.metric('hubcap_upstream_ratelimit_remaining', 'account="bert"'), 0);
  t.notMatch(await page(mirror), 'anna');
  clock.pass(3600_001);
  t.same(await limits(), [], 'nor whether that is still none');
  await mirror.reload({ upstreams: as(), now: clock.now });
  t.same(await limits(), []);
});

t.test('an upstream that was down is up when it is found back, although nobody asks', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', image, 'latest');
  const at = { at: registry, tagTtlMs: 0, retries: 0, timeouts: { headersMs: 200, probeMs: 10 } };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  const gate = makeGate();
  registry.act(async (_asked, answer) => {
    await gate.opened;
    return await answer();
  });
  await mirror.manifest(latest);
  t.equal(await mirror.metric('hubcap_upstream_up'), 0);
  t.equal(await mirror.metric('hubcap_upstream_endpoint_up'), 0);
  gate.open();
  registry.act();
  await until('it is found back', async () => (await mirror.metric('hubcap_upstream_endpoint_up')) === 1, 50);
  t.equal(await mirror.metric('hubcap_upstream_up'), 1);
});

t.test('downloads that pass by the store are counted as running, with their readers', async (t) => {
  const large = imageOf('large', [300 * KIB]);
  const registry = await startRegistry(t);
  registry.push('team/app', large, 'latest');
  const mirror = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    maxBytes: 64 * KIB,
  });
  const gate = makeGate();
  registry.act(only(blobDownloads, stalling(100 * KIB, gate.opened)));
  const reader = await mirror.open(`/v2/team/app/blobs/${large.layers[0]?.digest}`);
  t.equal(await mirror.metric('hubcap_fills_in_flight'), 1);
  t.equal(await mirror.metric('hubcap_fill_readers'), 1);
  gate.open();
  t.ok((await reader.ended).isComplete);
  await until('it has ended', async () => (await mirror.metric('hubcap_fills_in_flight')) === 0);
  t.equal(await mirror.metric('hubcap_fills_total', 'result="passed"'), 1);
});

t.test('a status that no registry sends is one label with all such', async (t) => {
  const { registry, mirror } = await start(t);
  for (const status of [299, 598, 599]) {
    registry.act(failing(status));
    await mirror.manifest(`/v2/team/app/manifests/t${status}`);
  }
  t.ok((await mirror.metric('hubcap_upstream_requests_total', 'status="other"')) >= 3);
  t.notMatch(await page(mirror), /status="(299|598|599)"/);
});

t.test('a scrape has as many series, however much is stored', async (t) => {
  const settings = { upstreams: { 'registry.test': { at: new URL('http://127.0.0.1:9') } }, offline: true };
  const series = async (images: number) => {
    const directory = await makeDirectory(t);
    if (images > 0) await seedStore(directory, { images, layers: 3 });
    const mirror = await startMirror(t, { ...settings, directory });
    t.equal(await mirror.metric('hubcap_store_objects'), images * 5);
    // How garbage is collected and what is open differs between any two processes.
    return seriesIn(await page(mirror)).filter((one) => !/^nodejs_(gc|active)_/.test(one));
  };
  const empty = await series(0);
  t.ok(empty.length > 100);
  t.same(await series(800), empty);
});

t.test('nothing is named as something that it is not', async (t) => {
  const { registry } = new Metrics('1');
  const metrics = await registry.getMetricsAsJSON();
  const kinds = metrics.map(({ name, type }) => [name, String(type)] as const);
  for (const [name, type] of kinds) t.equal(type === 'counter', name.endsWith('_total'), name);
});

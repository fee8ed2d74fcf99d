import { writeFileSync } from 'node:fs';
import t from 'tap';
import { Layout } from '../../src/store/layout.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

t.test('content that rots is found, and fetched again by the next pull', async (t) => {
  const registry = await startRegistry(t);
  const upstreams = { 'registry.test': { at: registry } };
  const blob = blobOf(2 * MIB, 'a');
  registry.push('team/app', blob);
  const path = `/v2/team/app/blobs/${blob.digest}`;
  const first = await startMirror(t, { upstreams });
  await first.get(path);
  await first.settled();
  await first.close();
  writeFileSync(new Layout(first.directory).blob(blob.digest), Buffer.alloc(2 * MIB));

  const { directory } = first;
  const mirror = await startMirror(t, { upstreams, directory, scrubBytesPerS: 100 * MIB });
  await until(
    'it is found',
    async () => (await mirror.metric('hubcap_store_findings_total', 'damaged')) === 1,
  );
  t.ok((await mirror.metric('hubcap_scrubbed_bytes_total')) >= MIB);
  const line = mirror.logs.map((text) => JSON.parse(text)).find(({ what }) => what === 'damaged');
  t.match(line, { level: 40, name: blob.digest, isSetAside: true });
  const { body, headers } = await mirror.get(path);
  t.ok(body.equals(blob.body));
  t.equal(headers['cache-status'], 'hubcap; fwd=miss; stored');
});

t.test('a slow scrub does not hold up the end', async (t) => {
  const registry = await startRegistry(t);
  const blob = blobOf(2 * MIB, 'a');
  registry.push('team/app', blob);
  const upstreams = { 'registry.test': { at: registry } };
  const first = await startMirror(t, { upstreams });
  await first.get(`/v2/team/app/blobs/${blob.digest}`);
  await first.settled();
  await first.close();
  const mirror = await startMirror(t, { upstreams, directory: first.directory, scrubBytesPerS: 1 });
  await until('it has read', async () => (await mirror.metric('hubcap_scrubbed_bytes_total')) > 0);
  await mirror.close();
  t.notOk(mirror.logs.some((line) => line.includes('does not end')));
});

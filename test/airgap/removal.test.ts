/** What is removed goes with all that nothing else uses, and is not there any more for anybody. */
import t, { type Test } from 'tap';
import type { DaemonControl } from '../../src/admin/control-client.ts';
import { RefusedError } from '../../src/refused-error.ts';
import { blobOf, type Image, imageOf, imageWith, indexOf, KIB } from '../helpers/content.ts';
import { all, controlOf, endOf, exportOf, prewarmOf } from '../helpers/control.ts';
import { json, referrerLists } from '../helpers/lists.ts';
import { type RunningMirror, startMirror } from '../helpers/mirror.ts';
import { contentOf, type Registry, startRegistry } from '../helpers/registry.ts';
import { artifactOf, descriptorOf, SIGNATURE } from '../helpers/signatures.ts';

async function start(t: Test, push: (registry: Registry) => void) {
  const registry = await startRegistry(t);
  push(registry);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const control = await controlOf(mirror);
  const fetchAll = async (references: string[], withReferrers = false): Promise<void> => {
    const request = prewarmOf(references, { platforms: 'all', withReferrers });
    t.match(endOf(await all(control.prewarm(request)), 'report'), { failures: [] });
  };
  return { registry, mirror, control, fetchAll };
}

/** Removes after a dry run that must say the same. */
async function removeBoth(t: Test, control: DaemonControl, references: string[]) {
  const foreseen = await control.remove({ references, isDryRun: true });
  const report = await control.remove({ references, isDryRun: false });
  t.same(report, foreseen, 'the dry run has said it');
  return report;
}

const stored = (mirror: RunningMirror): number => mirror.status().store.objects;
const digestsOf = (image: Image): number => new Set(contentOf(image).map(({ digest }) => digest)).size;

t.test('an index goes with layers that its platforms share', async (t) => {
  const shared = blobOf(50 * KIB, 'remove/shared');
  const amd64 = imageWith('remove/amd64', [shared, blobOf(KIB, 'a')]);
  const arm64 = imageWith('remove/arm64', [shared, blobOf(KIB, 'b')]);
  const index = indexOf({ amd64, arm64 });
  const { registry, mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/app', index, '1');
  });
  await fetchAll(['team/app:1']);
  const bytes = mirror.status().store.bytes;
  t.ok(bytes > 0);
  const report = await removeBoth(t, control, ['team/app:1']);
  t.match(report.removed, [{ reference: 'docker.io/team/app:1', objects: 8, keptBytes: 0 }]);
  t.equal(stored(mirror), 0);
  t.equal(mirror.status().store.bytes, 0);
  t.match(await imagesOf(control), []);

  await control.offline(true);
  t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 404);
  t.equal((await mirror.manifest(`/v2/team/app/manifests/${index.manifest.digest}`)).status, 404);
  t.equal((await mirror.manifest(`/v2/team/app/manifests/${amd64.manifest.digest}`)).status, 404);
  t.equal((await mirror.get(`/v2/team/app/blobs/${shared.digest}`)).status, 404);
  await control.offline(false);
  const asked = registry.asked.length;
  t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 200);
  t.ok(registry.asked.length > asked, 'it is a miss');
  await fetchAll(['team/app:1']);
  t.equal(stored(mirror), 8);
});

t.test('what another image needs stays, and is said', async (t) => {
  const shared = blobOf(50 * KIB, 'kept/shared');
  const [one, two] = [imageWith('kept/one', [shared]), imageWith('kept/two', [shared])];
  const { mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/one', one, '1');
    registry.push('team/two', two, '1');
  });
  await fetchAll(['team/one:1', 'team/two:1']);
  const report = await removeBoth(t, control, ['team/one:1']);
  t.match(report.removed, [{ objects: 2, keptBytes: shared.body.length }]);
  await control.offline(true);
  t.equal((await mirror.get(`/v2/team/two/blobs/${shared.digest}`)).status, 200);
  t.equal((await mirror.manifest('/v2/team/two/manifests/1')).status, 200);
  await removeBoth(t, control, ['team/two:1']);
  t.equal(stored(mirror), 0);
});

t.test('two that share are removed together, each thing counted once', async (t) => {
  const shared = blobOf(50 * KIB, 'both/shared');
  const [one, two] = [imageWith('both/one', [shared]), imageWith('both/two', [shared])];
  const { mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/one', one, '1');
    registry.push('team/one', one, 'latest');
    registry.push('team/two', two, '1');
  });
  await fetchAll(['team/one:1', 'team/one:latest', 'team/two:1']);
  const report = await removeBoth(t, control, ['team/one:1', 'team/one', 'team/two:1', 'team/two:1']);
  t.equal(report.removed.length, 3, 'what is named twice is removed once');
  const sizes = new Map([one, two].flatMap(contentOf).map(({ digest, body }) => [digest, body.length]));
  t.equal(
    report.bytes,
    [...sizes.values()].reduce((sum, size) => sum + size, 0),
  );
  t.same(report.removed.map(({ keptBytes }) => keptBytes).at(-1), 0);
  t.equal(stored(mirror), 0);
});

t.test('another tag of the same digest keeps all of it, its signatures too', async (t) => {
  const image = imageOf('tags', [20 * KIB]);
  const signature = artifactOf('tags/signature', SIGNATURE, image.manifest);
  const { registry, mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/app', image, '1');
    registry.push('team/app', image, '2');
    registry.push('team/app', signature);
  });
  registry.act(
    referrerLists(({ path }) =>
      json({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.index.v1+json',
        manifests: path.endsWith(image.manifest.digest) ? [descriptorOf(signature)] : [],
      }),
    ),
  );
  await fetchAll(['team/app:1', 'team/app:2'], true);
  t.equal(stored(mirror), digestsOf(image) + digestsOf(signature));
  const report = await removeBoth(t, control, ['team/app:1']);
  t.match(report.removed, [{ objects: 0, bytes: 0 }]);
  t.equal(stored(mirror), digestsOf(image) + digestsOf(signature));
  await control.offline(true);
  t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 404);
  t.equal((await mirror.manifest('/v2/team/app/manifests/2')).status, 200);
  await removeBoth(t, control, ['team/app:2']);
  t.equal(stored(mirror), 0, 'with what refers to it');
});

t.test(
  'another repository that has the same image keeps it, and the one that it was removed from has it no more',
  async (t) => {
    const image = imageOf('repositories', [20 * KIB]);
    const { mirror, control, fetchAll } = await start(t, (registry) => {
      registry.push('team/app', image, '1');
      registry.push('team/other', image, '1');
    });
    await fetchAll(['team/app:1', 'team/other:1']);
    const report = await removeBoth(t, control, ['team/app:1']);
    t.match(report.removed, [{ objects: 0 }]);
    await control.offline(true);
    t.equal((await mirror.manifest('/v2/team/app/manifests/1')).status, 404);
    t.equal((await mirror.manifest(`/v2/team/app/manifests/${image.manifest.digest}`)).status, 404);
    t.same(
      (await imagesOf(control)).map(({ reference }) => reference),
      ['docker.io/team/other:1'],
    );
    for (const { digest } of [image.config, ...image.layers])
      t.equal((await mirror.get(`/v2/team/other/blobs/${digest}`)).status, 200);
    t.equal((await mirror.manifest('/v2/team/other/manifests/1')).status, 200);
  },
);

t.test('what is pinned is refused, and nothing at all goes then', async (t) => {
  const { mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/app', imageOf('pinned', [20 * KIB]), '1');
    registry.push('team/other', imageOf('other', [20 * KIB]), '1');
  });
  await fetchAll(['team/app:1', 'team/other:1']);
  await control.pin({ references: ['team/app:1'], platforms: undefined, withReferrers: false });
  const before = stored(mirror);
  for (const isDryRun of [true, false]) {
    const references = ['team/other:1', 'team/app:1'];
    await t.rejects(
      control.remove({ references, isDryRun }),
      /docker\.io\/team\/app:1 is pinned: `hubcap unpin/,
    );
  }
  await t.rejects(control.remove({ references: ['team/none:1'], isDryRun: false }), RefusedError);
  t.equal(stored(mirror), before);
  await control.unpin(['team/app:1']);
  await removeBoth(t, control, ['team/app:1']);
});

t.test('what an export reads stays until it has ended', async (t) => {
  const { control, fetchAll } = await start(t, (registry) => {
    registry.push('team/app', imageOf('reading', [400 * KIB]), '1');
  });
  await fetchAll(['team/app:1']);
  const { plan, bundle } = await control.export(exportOf(['team/app:1']));
  const reader = bundle[Symbol.asyncIterator]();
  const first = await reader.next();
  await control.remove({ references: ['team/app:1'], isDryRun: false });
  let bytes = first.value?.length ?? 0;
  for (let next = await reader.next(); !next.done; next = await reader.next()) bytes += next.value.length;
  t.equal(bytes, plan.bytes);
});

async function imagesOf(control: DaemonControl): Promise<{ reference: string }[]> {
  const images: { reference: string }[] = [];
  for await (const { reference } of control.images()) images.push({ reference });
  return images;
}

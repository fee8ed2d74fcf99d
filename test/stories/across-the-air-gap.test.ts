/** An image goes from a registry to a network without one: prewarm, export, import; and only what changed the next time. */
import t from 'tap';
import type { ExportRequest } from '../../src/airgap/commands.ts';
import { rawTar } from '../airgap/archives/raw-tar.ts';
import { configOf, tarOf } from '../airgap/archives/sample-images.ts';
import { imageOf, indexOf, KIB } from '../helpers/content.ts';
import { all, bytesOf, controlOf, endOf, importOf, prewarmOf } from '../helpers/control.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { artifactOf, SIGNATURE } from '../helpers/signatures.ts';

const EXPORT: ExportRequest = { selection: 'references', references: [], platforms: undefined, since: [] };

t.test('what was fetched outside is pulled inside, by its usual name', async (t) => {
  const registry = await startRegistry(t);
  const app = indexOf({ amd64: imageOf('amd64', [50 * KIB, 10 * KIB]), arm64: imageOf('arm64', [40 * KIB]) });
  const base = imageOf('base', [30 * KIB]);
  registry.push('library/app', app, '1');
  registry.push('team/base', base, 'latest');
  const outside = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const control = await controlOf(outside);
  const told = await all(control.prewarm(prewarmOf(['app:1', 'team/base'], { isPinning: true })));
  const report = endOf(told, 'report');
  t.match(report, { images: { done: 2, failed: 0, total: 2 }, failures: [] });
  t.equal(
    registry.count('GET', app.images[1]?.layers[0]?.digest ?? ''),
    0,
    'the other platform is not fetched',
  );
  const { plan, bundle } = await control.export({ ...EXPORT, references: ['app:1', 'team/base'] });
  const file = await bytesOf(bundle);
  t.equal(file.length, plan.bytes);
  t.same(
    plan.images.map(({ reference }) => reference),
    ['docker.io/library/app:1', 'docker.io/team/base:latest'],
  );
  const again = await control.export({ ...EXPORT, references: ['team/base', 'app:1'] });
  t.ok((await bytesOf(again.bundle)).equals(file), 'the same content, the same bytes');

  const inside = await startMirror(t, {
    upstreams: { 'docker.io': { at: new URL('http://127.0.0.1:9') } },
    offline: true,
  });
  const within = await controlOf(inside);
  const imported = await all(
    within.import(
      importOf(),
      (async function* () {
        yield file;
      })(),
    ),
  );
  t.match(endOf(imported, 'report'), { archive: 'bundle', images: 2 });
  t.ok((await inside.manifest('/v2/library/app/manifests/1')).body.equals(app.manifest.body));
  for (const image of [app.images[0], base]) {
    if (!image) throw new Error('no image');
    const { config, layers, manifest } = image;
    const name = manifest === base.manifest ? 'team/base' : 'library/app';
    t.equal((await inside.manifest(`/v2/${name}/manifests/${manifest.digest}`)).status, 200);
    for (const blob of [config, ...layers])
      t.ok((await inside.get(`/v2/${name}/blobs/${blob.digest}`)).body.equals(blob.body));
  }
});

t.test('a signature that only a tag connects with an image goes with it', async (t) => {
  const registry = await startRegistry(t);
  const [image, signature] = [imageOf('signed', [5 * KIB]), artifactOf('signature', SIGNATURE)];
  const tag = `${image.manifest.digest.replace(':', '-')}.sig`;
  registry.push('team/app', image, '1');
  registry.push('team/app', signature, tag);
  const outside = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const control = await controlOf(outside);
  const told = await all(control.prewarm(prewarmOf(['team/app:1'], { withReferrers: true })));
  t.match(endOf(told, 'report'), { failures: [] });
  const { bundle } = await control.export({ ...EXPORT, references: ['team/app:1'] });

  const upstreams = { 'docker.io': { at: new URL('http://127.0.0.1:9') } };
  const inside = await startMirror(t, { upstreams, offline: true });
  const imported = await all((await controlOf(inside)).import(importOf(), bundle));
  t.match(endOf(imported, 'report'), { archive: 'bundle', images: 2 });
  const answer = await inside.manifest(`/v2/team/app/manifests/${tag}`);
  t.ok(answer.body.equals(signature.manifest.body));
  for (const { digest, body } of signature.layers)
    t.ok((await inside.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
});

t.test(
  'an archive without manifests that comes again, to be named otherwise, brings nothing new',
  async (t) => {
    const upstreams = { 'docker.io': { at: new URL('http://127.0.0.1:9') } };
    const control = await controlOf(await startMirror(t, { upstreams, offline: true }));
    const layer = tarOf({ app: 'of mine' });
    const images = [{ Config: 'config.json', RepoTags: ['team/app:1'], Layers: ['layer.tar'] }];
    const archive = rawTar(
      { path: 'config.json', body: configOf([layer]) },
      { path: 'layer.tar', body: layer },
      { path: 'manifest.json', body: JSON.stringify(images) },
    );
    const bring = async (as: string[]) =>
      endOf(
        await all(
          control.import(
            importOf({ as }),
            (async function* () {
              yield Buffer.from(archive);
            })(),
          ),
        ),
        'report',
      );
    const first = await bring([]);
    t.equal(first.newBytes, first.bytes);
    t.match(await bring(['team/store:1']), { images: 1, bytes: first.bytes, newBytes: 0 });
  },
);

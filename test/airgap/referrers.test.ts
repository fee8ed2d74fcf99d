/** Signatures and SBOMs go with their image: fetched, pinned, exported, imported, and answered offline. */
import t from 'tap';
import { OCI_INDEX } from '../../src/oci/media-types.ts';
import { imageOf, KIB } from '../helpers/content.ts';
import { all, bytesOf, controlOf, endOf, exportOf, importOf, prewarmOf, sent } from '../helpers/control.ts';
import { json, referrerLists } from '../helpers/lists.ts';
import { startMirror } from '../helpers/mirror.ts';
import { failing } from '../helpers/personas.ts';
import { contentOf, startRegistry } from '../helpers/registry.ts';
import { artifactOf, descriptorOf, referrersIndex, SBOM, SIGNATURE } from '../helpers/signatures.ts';

const REQUEST = { withReferrers: true, isPinning: true };

for (const how of ['the API', 'the tag schema', 'cosign tags'] as const) {
  t.test(`by ${how}`, async (t) => {
    const registry = await startRegistry(t);
    const image = imageOf(`signed by ${how}`, [20 * KIB]);
    const hex = image.manifest.digest.slice('sha256:'.length);
    const sbom = artifactOf(`sbom ${how}`, SBOM, how === 'cosign tags' ? undefined : image.manifest);
    const signature = artifactOf(
      `of sbom ${how}`,
      SIGNATURE,
      how === 'cosign tags' ? undefined : sbom.manifest,
    );
    registry.push('team/app', image, '1');
    if (how === 'the API') {
      for (const one of [sbom, signature]) registry.push('team/app', one);
      const named = new Map(
        [
          [image, sbom],
          [sbom, signature],
        ].map(([subject, one]) => [subject?.manifest.digest, one]),
      );
      registry.act(
        referrerLists(({ path }) => {
          const one = named.get(path.slice(path.lastIndexOf('/') + 1) as never);
          return json(
            { schemaVersion: 2, mediaType: OCI_INDEX, manifests: one ? [descriptorOf(one)] : [] },
            { 'content-type': OCI_INDEX },
          );
        }),
      );
    } else registry.act(referrerLists(failing(404)));
    if (how === 'the tag schema') {
      registry.push('team/app', referrersIndex([sbom]), `sha256-${hex}`);
      registry.push(
        'team/app',
        referrersIndex([signature]),
        `sha256-${sbom.manifest.digest.slice('sha256:'.length)}`,
      );
    }
    if (how === 'cosign tags') {
      registry.push('team/app', signature, `sha256-${hex}.sig`);
      registry.push('team/app', sbom, `sha256-${hex}.sbom`);
    }
    const outside = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
    const outer = await controlOf(outside);
    const told = await all(outer.prewarm(prewarmOf(['team/app:1'], REQUEST)));
    t.match(endOf(told, 'report'), { failures: [] });
    t.match(
      told.find(({ kind }) => kind === 'image'),
      { referrers: 2 },
    );
    const pins: number[] = [];
    for await (const { bytes, isComplete, withReferrers } of outer.pins()) {
      t.ok(isComplete && withReferrers);
      pins.push(bytes);
    }
    const contents = new Map(
      [image, sbom, signature].flatMap(contentOf).map(({ digest, body }) => [digest, body.length]),
    );
    t.same(pins, [[...contents.values()].reduce((sum, size) => sum + size, 0)], 'pinned with it');
    const file = await bytesOf((await outer.export(exportOf([], { selection: 'all' }))).bundle);

    const inside = await startMirror(t, {
      upstreams: { 'docker.io': { at: new URL('http://127.0.0.1:9') } },
      offline: true,
    });
    const inner = await controlOf(inside);
    endOf(await all(inner.import(importOf(), sent(file))), 'report');
    for (const one of [sbom, signature])
      for (const { digest, body } of [one.config, ...one.layers])
        t.ok((await inside.get(`/v2/team/app/blobs/${digest}`)).body.equals(body));
    if (how === 'cosign tags') {
      t.ok(
        (await inside.manifest(`/v2/team/app/manifests/sha256-${hex}.sig`)).body.equals(
          signature.manifest.body,
        ),
      );
      return;
    }
    const listed = await inside.get(`/v2/team/app/referrers/${image.manifest.digest}`);
    t.match(JSON.parse(listed.body.toString()), { manifests: [{ digest: sbom.manifest.digest }] });
    t.ok(
      (await inside.manifest(`/v2/team/app/manifests/${signature.manifest.digest}`)).body.equals(
        signature.manifest.body,
      ),
    );
  });
}

t.test('signatures of which something is missing are not left out in silence', async (t) => {
  const registry = await startRegistry(t);
  const image = imageOf('half signed', [KIB]);
  const sbom = artifactOf('half', SBOM, image.manifest);
  registry.push('team/app', image, '1');
  registry.push('team/app', sbom);
  registry.act(
    referrerLists(({ path }) =>
      json({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: path.endsWith(image.manifest.digest) ? [descriptorOf(sbom)] : [],
      }),
    ),
  );
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const control = await controlOf(mirror);
  await all(control.prewarm(prewarmOf(['team/app:1'])));
  t.equal((await mirror.manifest(`/v2/team/app/manifests/${sbom.manifest.digest}`)).status, 200);
  await t.rejects(
    control.pin({ references: ['team/app:1'], platforms: undefined, withReferrers: true }),
    /refers to it|signature|--with-referrers/,
  );
  const { plan, bundle } = await control.export(exportOf(['team/app:1']));
  await bytesOf(bundle);
  t.match(plan.leftOut, [{ reference: 'team/app:1', message: /prewarm --with-referrers/ }]);
});

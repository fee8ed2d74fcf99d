/** skopeo copies from hubcap, and gets the bytes that were pushed. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type ImageSpec, platformOf } from '../helpers/engines/image.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';

const layers = [
  { seed: 'base', bytes: 5_000_000 },
  { seed: 'settings', bytes: 1000 },
];
const architectures = ['amd64', 'arm64'];
const specs: Record<string, ImageSpec> = {
  'a single image in Docker types': { format: 'docker', tag: '1.0', layers },
  'a single image in OCI types': { format: 'oci', tag: '1.0', layers },
  'a manifest list': { format: 'docker', tag: 'latest', layers, architectures },
  'an OCI index': { format: 'oci', tag: 'latest', layers, architectures },
};

for (const [what, spec] of Object.entries(specs)) {
  t.test(`skopeo copies ${what} with every platform, byte for byte, and again at no cost`, async (t) => {
    if (!needs(t, ...skopeoNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const skopeo = await makeSkopeo(t);
    const image = await stack.push('library/hubcap-app', spec);
    const name = `docker://${stack.hubcap.host}/library/hubcap-app:${spec.tag}`;
    const target = await makeDirectory(t, 'copy');
    const copy = (to: string) =>
      skopeo('copy', '--all', '--src-tls-verify=false', name, `dir:${join(target, to)}`);

    const first = await stack.cost(() => copy('first'));
    const all = onePull('library/hubcap-app', image, ...(spec.architectures ?? []));
    t.strictSame(byDigest(first, image), all);
    t.ok((await readFile(join(target, 'first', 'manifest.json'))).equals(image.content), 'the same bytes');

    t.strictSame(await stack.cost(() => copy('second')), nothing);
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', name);
    t.equal(raw, image.content.toString(), 'inspected, too');
  });
}

t.test('skopeo reads the configuration and the tags through hubcap', async (t) => {
  if (!needs(t, ...skopeoNeeds, ...stackNeeds)) return;
  const stack = await startStack(t);
  const skopeo = await makeSkopeo(t);
  const image = await stack.push('acme/app', { format: 'oci', tag: '1.0', layers, architectures });
  const name = `docker://${stack.hubcap.host}/acme/app`;

  const inspected = JSON.parse(await skopeo('inspect', '--tls-verify=false', `${name}:1.0`));
  t.equal(inspected.Digest, image.digest);
  t.strictSame(inspected.RepoTags, ['1.0']);
  const digests = platformOf(image, 'amd64').layers.map(({ digest }) => digest);
  t.strictSame(inspected.Layers, digests);
});

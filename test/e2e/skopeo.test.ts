/** skopeo copies from hubcap, and gets the bytes that were pushed. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { type Dispatcher, request } from 'undici';
import { startHubcap } from '../helpers/engines/hubcap.ts';
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

t.test(
  'skopeo lists hundreds of tags through hubcap, in pages too, and what was pulled of them offline',
  async (t) => {
    if (!needs(t, ...skopeoNeeds, ...stackNeeds)) return;
    const stack = await startStack(t, { tagTtl: '0s' });
    const skopeo = await makeSkopeo(t);
    const tags = Array.from({ length: 130 }, (_, at) => `v${String(at).padStart(3, '0')}`);
    for (const tag of tags) await stack.push('acme/app', { format: 'oci', tag, layers: layers.slice(1) });
    const name = `docker://${stack.hubcap.host}/acme/app`;
    const list = async () => JSON.parse(await skopeo('list-tags', '--tls-verify=false', name)).Tags;

    const listed = await list();
    t.strictSame(listed.toSorted(), tags);
    const paged: string[] = [];
    for (let path: string | undefined = '/v2/acme/app/tags/list?n=40'; path !== undefined; ) {
      const { headers, body }: Dispatcher.ResponseData = await request(stack.hubcap.url + path);
      const page = ((await body.json()) as { tags: string[] }).tags;
      t.ok(page.length <= 40);
      paged.push(...page);
      path = /<([^>]+)>/.exec(String(headers.link))?.[1];
    }
    t.strictSame(paged, listed, 'although docker-registry 2 pages nothing, and keeps no order');

    await skopeo('inspect', '--tls-verify=false', '--no-tags', `${name}:v007`);
    const { dataDirectory } = stack.hubcap;
    await stack.upstream.stop();
    t.strictSame(await list(), listed, 'remembered');
    await stack.hubcap.stop();
    const again = await startHubcap(t, { upstreamUrl: stack.upstream.url, dataDirectory, tagTtl: '0s' });
    const afterRestart = `docker://${again.host}/acme/app`;
    const known = JSON.parse(await skopeo('list-tags', '--tls-verify=false', afterRestart)).Tags;
    t.strictSame(known, ['v007'], 'after a restart, what it holds');
  },
);

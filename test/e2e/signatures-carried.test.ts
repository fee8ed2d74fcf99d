/** Signatures and SBOMs cross the air gap with their image: referrers, and tags as cosign writes them. */

import t from 'tap';
import { request } from 'undici';
import { makeStick, startInside, startOutside } from '../helpers/engines/air-gap.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { dockerNeeds, startDockerd } from '../helpers/engines/dockerd.ts';
import type { ImageSpec } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { type Descriptor, Push } from '../helpers/engines/push.ts';
import { makeSigner } from '../helpers/engines/sigstore.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';
import { stackNeeds } from '../helpers/engines/stack.ts';

const repository = 'acme/app';
const architectures = ['amd64', 'arm64'];
const spec: ImageSpec = { format: 'oci', tag: '1', layers: [{ seed: 'signed', bytes: 9000 }], architectures };
const indexType = 'application/vnd.oci.image.index.v1+json';
const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const artifactType = 'application/spdx+json';

/** As clients attach an SBOM where the registry has no referrers API: in an index under `sha256-<hex>`. */
async function attachSbom(push: Push, { mediaType, digest, size }: Descriptor): Promise<object> {
  const config = await push.blob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  const sbom = await push.blob(Buffer.from('{"spdxVersion":"SPDX-2.3"}'), artifactType);
  const subject = { mediaType, digest, size };
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    artifactType,
    config,
    layers: [sbom],
    subject,
  };
  const referrer = {
    ...(await push.manifest(Buffer.from(JSON.stringify(manifest)), manifestType)),
    artifactType,
  };
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [referrer] };
  await push.manifest(Buffer.from(JSON.stringify(index)), indexType, digest.replace(':', '-'));
  return referrer;
}

t.test('a signature and an SBOM are there offline', async (t) => {
  if (!needs(t, ...skopeoNeeds, ...stackNeeds)) return;
  const stick = await makeStick(t);
  const outside = await startOutside(t);
  const push = await Push.open(outside.stack.upstream.url, outside.stack.tokens, repository);
  const image = await outside.stack.push(repository, spec);
  const signer = makeSigner();
  const tag = await signer.attach(push, image.digest);
  const sbom = await attachSbom(push, image);
  await outside.commands.run('prewarm', `${repository}:1`, '--with-referrers', '--platform', 'linux/amd64');
  await outside.commands.run('export', '-o', stick('bundle.tar'), `${repository}:1`);
  await outside.stop();

  const inside = await startInside(t);
  await inside.commands.run('import', stick('bundle.tar'));
  const answer = await request(`${inside.hubcap.url}/v2/${repository}/referrers/${image.digest}`);
  t.equal(answer.statusCode, 200);
  const { manifests } = (await answer.body.json()) as { manifests: object[] };
  t.match(manifests, [sbom]);
  const skopeo = await makeSkopeo(t);
  const from = `docker://${inside.hubcap.host}/${repository}`;
  await skopeo('copy', '--src-tls-verify=false', `${from}:${tag}`, `dir:${stick('signature')}`);
  t.ok(await signer.isSigned(stick('signature'), image.digest), 'the signature verifies');
  const list = JSON.parse(await skopeo('list-tags', '--tls-verify=false', from)).Tags;
  t.ok(list.includes('1'), list);

  await t.test('engines load the same bundle', async (t) => {
    if (!needs(t, ...dockerNeeds, ...podmanNeeds, ...containerdNeeds)) return;
    const { docker } = await startDockerd(t, {});
    await docker('load', '--input', stick('bundle.tar'));
    t.equal(await docker('image', 'ls', '--format', '{{.Repository}}:{{.Tag}}'), `${repository}:1`);
    const podman = await makePodman(t, '127.0.0.1:9');
    await podman('load', '--input', stick('bundle.tar'));
    await podman('image', 'inspect', `docker.io/${repository}:1`);
    const { ctr } = await startContainerd(t, 'http://127.0.0.1:9');
    await ctr('images', 'import', '--snapshotter=native', stick('bundle.tar'));
    t.equal(await ctr('images', 'ls', '--quiet'), `docker.io/${repository}:1`);
  });
});

/** Signatures and SBOMs through hubcap: with a registry that has no referrers API, and without it. */

import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { startHubcap } from '../helpers/engines/hubcap.ts';
import type { ImageSpec } from '../helpers/engines/image.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { Push } from '../helpers/engines/push.ts';
import { makeSigner } from '../helpers/engines/sigstore.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';
import { stackNeeds, startStack } from '../helpers/engines/stack.ts';

const spec = (tag: string): ImageSpec => ({ format: 'oci', tag, layers: [{ seed: tag, bytes: 1000 }] });
const repository = 'acme/app';

t.test('a signature that was fetched once verifies without the registry, and after a restart', async (t) => {
  if (!needs(t, ...skopeoNeeds, ...stackNeeds)) return;
  const stack = await startStack(t, { tagTtl: '0s' });
  const skopeo = await makeSkopeo(t);
  const signer = makeSigner();
  const push = await Push.open(stack.upstream.url, stack.tokens, repository);
  const { digest } = await stack.push(repository, spec('signed'));
  const other = await stack.push(repository, spec('other'));
  const tag = await signer.attach(push, digest);

  const target = await makeDirectory(t, 'verified');
  let copies = 0;
  const fetchSignature = async (host: string) => {
    const directory = join(target, String(copies++));
    await skopeo(
      'copy',
      '--src-tls-verify=false',
      `docker://${host}/${repository}:${tag}`,
      `dir:${directory}`,
    );
    return directory;
  };
  t.ok(await signer.isSigned(await fetchSignature(stack.hubcap.host), digest));
  await stack.upstream.stop();
  t.ok(await signer.isSigned(await fetchSignature(stack.hubcap.host), digest));
  const { dataDirectory } = stack.hubcap;
  await stack.hubcap.stop();
  const again = await startHubcap(t, { upstreamUrl: stack.upstream.url, dataDirectory });
  const directory = await fetchSignature(again.host);
  t.ok(await signer.isSigned(directory, digest));
  t.notOk(await signer.isSigned(directory, other.digest));
});

t.test('referrers of a registry without their API', async (t) => {
  if (!needs(t, ...stackNeeds)) return;
  const stack = await startStack(t, { tagTtl: '0s' });
  const push = await Push.open(stack.upstream.url, stack.tokens, repository);
  const image = await stack.push(repository, spec('1'));
  const indexType = 'application/vnd.oci.image.index.v1+json';
  const list = async (digest: string) => {
    const url = `${stack.hubcap.url}/v2/${repository}/referrers/${digest}`;
    const { statusCode, headers, body } = await request(url);
    const document = (await body.json()) as { manifests?: unknown };
    return { statusCode, type: headers['content-type'], manifests: document.manifests };
  };
  const none = await stack.push(repository, spec('none'));
  t.strictSame(await list(none.digest), { statusCode: 200, type: indexType, manifests: [] });

  const empty = await push.blob(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json');
  const { mediaType, digest, size } = image;
  const artifactType = 'application/spdx+json';
  const manifest = { schemaVersion: 2, mediaType, artifactType, config: empty, layers: [empty] };
  const content = Buffer.from(JSON.stringify({ ...manifest, subject: { mediaType, digest, size } }));
  const referrer = { ...(await push.manifest(content, mediaType)), artifactType };
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [referrer] };
  const tag = digest.replace(':', '-');
  await push.manifest(Buffer.from(JSON.stringify(index)), indexType, tag);
  t.strictSame(await list(image.digest), { statusCode: 200, type: indexType, manifests: [referrer] });
  await stack.upstream.stop();
  t.strictSame((await list(image.digest)).manifests, [referrer]);
});

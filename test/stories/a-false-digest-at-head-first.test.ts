import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { ANY_MANIFEST } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { only } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';

const image = imageOf('app', [100]);
const latest = '/v2/team/app/manifests/latest';

for (const isKnown of [true, false]) {
  t.test(`a false digest at HEAD, seen by a client's HEAD first; known: ${isKnown}`, async (t) => {
    const registry = await startRegistry(t);
    registry.push('team/app', image, 'latest');
    registry.act(
      only(
        ({ method, path }) => method === 'HEAD' && path === latest,
        async (_asked, answer) => {
          const plain = await answer();
          return { ...plain, headers: { ...plain.headers, 'docker-content-digest': digestOf('nothing') } };
        },
      ),
    );
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry, tagTtlMs: 0 } } });
    if (isKnown) t.equal((await mirror.manifest(latest)).status, 200);
    await mirror.head(latest, { headers: ANY_MANIFEST });
    t.equal((await mirror.manifest(latest)).status, 200);
  });
}

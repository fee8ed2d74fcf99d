import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { describeReferrer, readReferrer, readReferrers, referrersTag } from '../../src/oci/referrer.ts';

const digest = digestOf('a');
const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));
const described = (document: unknown, mediaType = OCI_MANIFEST) =>
  JSON.parse(describeReferrer(digest, mediaType, bytes(document)).json);

t.test('a stored manifest is described as the specification wants it', async (t) => {
  const config = { mediaType: 'application/vnd.example.config' };
  const annotations = { 'org.example': 'kept' };
  const artifact = { artifactType: 'application/spdx+json', config, annotations };
  const size = bytes(artifact).length;
  const { artifactType } = artifact;
  t.same(described(artifact), { mediaType: OCI_MANIFEST, digest, size, artifactType, annotations });
  t.equal(described({ config }).artifactType, config.mediaType, 'the type of its config where it says none');
  t.equal(described({ config, artifactType: '' }).artifactType, config.mediaType);
  t.notOk('artifactType' in described({ manifests: [] }, OCI_INDEX));
  t.notOk('annotations' in described({ annotations: null }));
});

t.test('what a list says is kept as it is, and what is no descriptor left out', async (t) => {
  const descriptor = { mediaType: OCI_MANIFEST, digest, size: 5, data: 'e30=', unknown: { x: [1] } };
  t.same(JSON.parse(readReferrer(descriptor)?.json ?? ''), descriptor);
  for (const wrong of [
    null,
    7,
    'x',
    {},
    { ...descriptor, digest: 'sha256:../..' },
    { ...descriptor, size: 1.5 },
  ])
    t.equal(readReferrer(wrong), undefined);
  t.same(readReferrers(bytes({ manifests: [descriptor, null, {}] }))?.length, 1);
  t.same(readReferrers(bytes({ manifests: [] })), []);
  for (const body of [bytes({ layers: [] }), bytes([]), Buffer.from('<html>')])
    t.equal(readReferrers(body), undefined);
});

t.test('the tag schema', async (t) => {
  t.equal(referrersTag(digest), `sha256-${digest.slice(7)}`);
  const long = digestOf('a', 'sha512');
  t.equal(referrersTag(long), `sha512-${long.slice(7, 71)}`, 'cut to 64 characters');
});

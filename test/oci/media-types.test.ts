import t from 'tap';
import {
  acceptsIndex,
  bareType,
  DOCKER_LIST,
  DOCKER_MANIFEST,
  isIndexType,
  MANIFEST_ACCEPT,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../src/oci/media-types.ts';

t.test('the type without its parameters', async (t) => {
  t.equal(bareType('Application/JSON; charset=utf-8'), 'application/json');
  t.equal(bareType('  text/html '), 'text/html');
  t.equal(bareType(';a=b'), '');
  t.equal(bareType(''), '');
});

t.test('indexes', async (t) => {
  t.ok(isIndexType(OCI_INDEX) && isIndexType(DOCKER_LIST));
  t.notOk(isIndexType(OCI_MANIFEST) || isIndexType(DOCKER_MANIFEST) || isIndexType(''));
});

t.test('upstream is asked with all types', async (t) => {
  t.same(MANIFEST_ACCEPT.split(', ').sort(), [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].sort());
});

t.test('which clients know indexes', async (t) => {
  const cases: [accept: string | undefined, accepts: boolean][] = [
    [undefined, false],
    ['', false],
    ['*/*', false],
    ['application/*', false],
    [DOCKER_MANIFEST, false],
    [`${DOCKER_MANIFEST}, ${OCI_MANIFEST}, */*`, false],
    [OCI_INDEX, true],
    [DOCKER_LIST.toUpperCase(), true],
    [`${DOCKER_MANIFEST},${DOCKER_LIST};q=0.5`, true],
    [MANIFEST_ACCEPT, true],
    [`x${OCI_INDEX}`, false],
    [`text/plain; x=${OCI_INDEX}`, false],
  ];
  for (const [accept, accepts] of cases) t.equal(acceptsIndex(accept), accepts, String(accept));
});

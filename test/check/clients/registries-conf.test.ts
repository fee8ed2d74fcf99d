import fc from 'fast-check';
import t from 'tap';
import { inspectRegistriesConf } from '../../../src/check/clients/registries-conf.ts';
import { registriesConfCases } from './registries-conf-table.ts';

const path = '/etc/containers/registries.conf';

t.test('each mistake is named', async (t) => {
  for (const { text, id } of registriesConfCases)
    t.same(
      [...new Set(inspectRegistriesConf({ path, text }, false).findings.map((finding) => finding.id))],
      id === undefined ? [] : [id],
      text,
    );
});

t.test('a drop-in may not be of version 1', async (t) => {
  const { findings } = inspectRegistriesConf(
    { path, text: '[registries.insecure]\nregistries = []\n' },
    true,
  );
  t.match(findings, [{ id: 'podman.version', status: 'failed' }]);
});

t.test('mirrors are to be tried, with the registry that they are for', async (t) => {
  const text =
    '[[registry]]\nlocation = "ghcr.io"\n[[registry.mirror]]\nlocation = "127.0.0.1:5000/ghcr.io"\ninsecure = true\n';
  const { mirrors } = inspectRegistriesConf({ path, text }, false);
  t.match(mirrors, [
    { url: new URL('https://127.0.0.1:5000/ghcr.io'), registry: 'ghcr.io', isUnproven: true },
  ]);
});

t.test('whatever is in the file, there are findings, and nothing is thrown', async () => {
  const pieces = fc.constantFrom(
    '[[registry]]',
    '[registry]',
    '[[registry.mirror]]',
    '\n',
    'location',
    ' = ',
    '"docker.io"',
    '"http://a:1"',
    'insecure',
    'true',
    '[',
    ']',
    '"',
    "'",
    '1979-05-27',
    '__proto__',
    'prefix',
    'blocked',
    '#',
    '\ufeff',
    'registries.search',
    'unqualified-search-registries',
    '1.5',
    '{',
    '}',
  );
  const built = fc.array(pieces, { maxLength: 16 }).map((parts) => parts.join(''));
  const any = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('utf8'));
  fc.assert(
    fc.property(fc.oneof(built, any), fc.boolean(), (text, isDropIn) =>
      inspectRegistriesConf({ path, text }, isDropIn).findings.every(({ message }) => message !== ''),
    ),
    { numRuns: 2_000 },
  );
});

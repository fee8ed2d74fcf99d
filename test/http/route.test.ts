import fc from 'fast-check';
import t from 'tap';
import { parseRoute, type Route } from '../../src/http/route.ts';
import { parseDigest } from '../../src/oci/digest.ts';
import { parseRepository, parseTag } from '../../src/oci/reference.ts';
import { RegistryError } from '../../src/oci/registry-error.ts';

const hub = { host: 'docker.io' };
const ghcr = { host: 'ghcr.io' };
const names = {
  default: hub,
  named: (name: string) => [hub, ghcr].find(({ host }) => host === name.toLowerCase()),
  atVirtualHost: (host: string | undefined) => (host === 'ghcr.mirror' ? ghcr : undefined),
};
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;
const route = (url: string, host?: string, method = 'GET') => parseRoute({ method, url, host }, names);

t.test('routes', async (t) => {
  const manifest = (upstream: { host: string }, repository: string, tag: string, ns?: string) => ({
    kind: 'manifest',
    upstream,
    repository,
    reference: { kind: 'tag', tag },
    ns,
  });
  const cases: [url: string, expected: object, host?: string][] = [
    ['/v2/', { kind: 'base' }],
    ['/v2', { kind: 'base' }],
    ['/v2/_catalog', { kind: 'catalog', page: { n: undefined, last: '' } }],
    ['/v2/_catalog?n=5&last=a%2Fb', { kind: 'catalog', page: { n: 5, last: 'a/b' } }],
    ['/v2/alpine/manifests/3.20', manifest(hub, 'library/alpine', '3.20')],
    ['/v2/owner/app/manifests/latest', manifest(hub, 'owner/app', 'latest')],
    ['/v2/manifests/manifests/manifests', manifest(hub, 'library/manifests', 'manifests')],
    ['/v2/a/tags/list/manifests/v1', manifest(hub, 'a/tags/list', 'v1')],
    ['/v2/app/manifests/v1?ns=ghcr.io', manifest(ghcr, 'app', 'v1', 'ghcr.io')],
    ['/v2/app/manifests/v1?ns=docker.io', manifest(hub, 'library/app', 'v1', 'docker.io')],
    ['/v2/ghcr.io/owner/app/manifests/v1', manifest(ghcr, 'owner/app', 'v1')],
    ['/v2/ghcr.io/app/manifests/v1', manifest(ghcr, 'app', 'v1')],
    ['/ghcr.io/v2/owner/app/manifests/v1', manifest(ghcr, 'owner/app', 'v1')],
    ['/v2/owner/app/manifests/v1', manifest(ghcr, 'owner/app', 'v1'), 'ghcr.mirror'],
    ['/v2/owner/app/manifests/v1?ns=docker.io', manifest(hub, 'owner/app', 'v1', 'docker.io'), 'ghcr.mirror'],
    [`/v2/a/b/blobs/${digest}`, { kind: 'blob', upstream: hub, repository: 'a/b', digest }],
    [`/v2/a/b/blobs/${digest.replace(':', '%3A')}`, { kind: 'blob', digest }],
    [`/v2/a/b/manifests/${digest}`, { kind: 'manifest', reference: { kind: 'digest', digest } }],
    ['/v2/a/b/tags/list?n=2', { kind: 'tags', repository: 'a/b', page: { n: 2, last: '' } }],
    [`/v2/a/b/referrers/${digest}?artifactType=x%2Fy`, { kind: 'referrers', digest, artifactType: 'x/y' }],
  ];
  for (const [url, expected, host] of cases) t.match(route(url, host), expected, url);
});

const component = fc.stringMatching(/^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/, { size: '-1' });
const repository = fc
  .array(component, { minLength: 2, maxLength: 4 })
  // A host in front is an upstream, and unknown ones are refused: another question.
  .filter(([first = '']) => !first.includes('.'))
  .map((components) => components.join('/'))
  .filter((name) => name.length <= 255);
const tag = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);
const anyDigest = fc.oneof(
  fc.stringMatching(/^[a-f0-9]{64}$/).map((hex) => `sha256:${hex}`),
  fc.stringMatching(/^[a-f0-9]{128}$/).map((hex) => `sha512:${hex}`),
);

t.test('every valid name comes back as it was', async (t) => {
  const reference = fc.oneof(
    tag.map((text) => ({ kind: 'tag', tag: text, text })),
    anyDigest.map((text) => ({ kind: 'digest', digest: text, text })),
  );
  fc.assert(
    fc.property(repository, reference, anyDigest, (name, { text, ...wanted }, blob) => {
      const manifest = route(`/v2/${name}/manifests/${text}`);
      const found = manifest.kind === 'manifest' ? manifest : undefined;
      const isSame = found?.repository === name && JSON.stringify(found.reference) === JSON.stringify(wanted);
      const other = route(`/v2/${name}/blobs/${blob}`);
      return isSame && other.kind === 'blob' && other.repository === name && other.digest === blob;
    }),
    { numRuns: 500 },
  );
  t.pass('500 of them');
});

/** Fragments that routes are made of, and that attacks are made of. */
const fragment = fc.oneof(
  fc.constantFrom(
    '/',
    'v2',
    '/v2/',
    '..',
    '.',
    '%2e%2e',
    '%2f',
    '%00',
    '\0',
    '\\',
    '//',
    '?ns=',
    '&n=',
    ':',
    '%3a',
  ),
  fc.constantFrom(
    'manifests',
    'blobs',
    'tags/list',
    'referrers',
    '_catalog',
    'ghcr.io',
    'docker.io',
    'library',
  ),
  fc.constantFrom(
    'latest',
    digest,
    'sha256:',
    '127.0.0.1:22',
    'http://',
    '@',
    '#',
    ' ',
    '\r\n',
    '%',
    '\u{1f433}',
  ),
  component,
  fc.string(),
);
const url = fc.oneof(
  fc.array(fragment, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.array(fragment, { maxLength: 12 }).map((parts) => `/v2/${parts.join('/')}`),
  fc.string(),
);

t.test('whatever is asked, a route is well formed and an error is a 4xx', async (t) => {
  const method = fc.oneof({ weight: 9, arbitrary: fc.constantFrom('GET', 'HEAD') }, fc.string());
  const host = fc.oneof(fc.constant(undefined), fc.constant('ghcr.mirror'), fc.string());
  fc.assert(
    fc.property(url, method, host, (text, verb, header) => {
      const found = attempt(() => route(text, header, verb));
      return found instanceof RegistryError ? isRefusal(found) : isWellFormed(found);
    }),
    { numRuns: 20_000 },
  );
  t.pass('20,000 of them');
});

function attempt(work: () => Route<{ host: string }>): Route<{ host: string }> | RegistryError {
  try {
    return work();
  } catch (error) {
    if (error instanceof RegistryError) return error;
    throw error;
  }
}

function isRefusal({ status, code, message }: RegistryError): boolean {
  return status >= 400 && status < 500 && /^[A-Z_]+$/.test(code) && message.length < 1000;
}

function isWellFormed(found: Route<{ host: string }>): boolean {
  if (found.kind === 'base') return true;
  if (found.kind === 'catalog') return isPage(found.page);
  const isPlaced = [hub, ghcr].includes(found.upstream) && parseRepository(found.repository) !== undefined;
  if (!isPlaced) return false;
  if (found.kind === 'tags') return isPage(found.page);
  if (found.kind !== 'manifest') return parseDigest(found.digest) !== undefined;
  const { reference } = found;
  return reference.kind === 'tag'
    ? parseTag(reference.tag) !== undefined
    : parseDigest(reference.digest) !== undefined;
}

function isPage({ n }: { n: number | undefined }): boolean {
  return n === undefined || (Number.isSafeInteger(n) && n >= 0);
}

import fc from 'fast-check';
import t from 'tap';
import { type Challenge, parseChallenge } from '../../src/upstream/challenge.ts';

const bearer = (realm: string, service?: string, scope?: string): Challenge => {
  return { scheme: 'bearer', realm, service, scope };
};
const basic: Challenge = { scheme: 'basic' };

t.test('as registries send them', async (t) => {
  const cases: [who: string, header: string, challenge: Challenge][] = [
    [
      'Docker Hub',
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
      bearer('https://auth.docker.io/token', 'registry.docker.io', 'repository:library/alpine:pull'),
    ],
    [
      'Docker Hub, /v2/',
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"',
      bearer('https://auth.docker.io/token', 'registry.docker.io'),
    ],
    [
      'ghcr.io',
      'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:owner/app:pull"',
      bearer('https://ghcr.io/token', 'ghcr.io', 'repository:owner/app:pull'),
    ],
    [
      'quay.io',
      'Bearer realm="https://quay.io/v2/auth",service="quay.io",scope="repository:a/b:pull,push"',
      bearer('https://quay.io/v2/auth', 'quay.io', 'repository:a/b:pull,push'),
    ],
    [
      'GitLab',
      'Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",scope="repository:g/p:pull",error="invalid_token"',
      bearer('https://gitlab.com/jwt/auth', 'container_registry', 'repository:g/p:pull'),
    ],
    [
      'Amazon ECR',
      'Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com"',
      basic,
    ],
    [
      'Harbor',
      'Bearer realm="https://h.example/service/token",service="harbor-registry"',
      bearer('https://h.example/service/token', 'harbor-registry'),
    ],
    ['nginx', 'Basic realm="Registry Realm"', basic],
    [
      'Artifactory, with a space',
      'Bearer realm="https://a.example/v2/token", service="a.example"',
      bearer('https://a.example/v2/token', 'a.example'),
    ],
    [
      'Azure',
      'Bearer realm="https://x.azurecr.io/oauth2/token",service="x.azurecr.io",scope="repository:a:pull",error="invalid_token"',
      bearer('https://x.azurecr.io/oauth2/token', 'x.azurecr.io', 'repository:a:pull'),
    ],
  ];
  for (const [who, header, challenge] of cases) t.same(parseChallenge(header), challenge, who);
});

t.test('the grammar of RFC 9110', async (t) => {
  const cases: [what: string, header: string | undefined, challenge: Challenge | undefined][] = [
    ['none', undefined, undefined],
    ['empty', '', undefined],
    ['any case', 'BEARER Realm="r",SERVICE="s"', bearer('r', 's')],
    ['tokens without quotes', 'Bearer realm=r,service=s', bearer('r', 's')],
    ['spaces around =', 'Bearer realm = "r" ,service= "s"', bearer('r', 's')],
    ['spaces before a comma', 'Bearer realm="r" , service="s"', bearer('r', 's')],
    ['tabs', 'Bearer realm="r",\tservice="s"', bearer('r', 's')],
    ['an empty element', 'Bearer realm="r",,service="s"', bearer('r', 's')],
    ['a comma at the start', ', Bearer realm="r"', bearer('r')],
    ['escapes', 'Bearer realm="a\\"b\\\\c"', bearer('a"b\\c')],
    ['a comma in quotes', 'Bearer realm="r",service="a, Basic realm=x"', bearer('r', 'a, Basic realm=x')],
    ['basic, then bearer', 'Basic realm="b", Bearer realm="r",service="s"', bearer('r', 's')],
    ['bearer, then basic', 'Bearer realm="r",service="s", Basic realm="b"', bearer('r', 's')],
    ['something unknown first', 'Negotiate, Bearer realm="r"', bearer('r')],
    ['basic alone', 'Basic', basic],
    ['a bearer without realm', 'Bearer error="invalid_token"', undefined],
    ['a bearer with an empty realm', 'Bearer realm=""', undefined],
    ['a bearer without realm, and basic', 'Bearer error="x", Basic realm="b"', basic],
    ['the parameters of another scheme', 'Digest realm="r",service="s"', undefined],
    ['a word', 'whatever', undefined],
    ['an open quote', 'Bearer realm="r', undefined],
    ['too long', `Bearer realm="${'a'.repeat(5000)}"`, undefined],
  ];
  for (const [what, header, challenge] of cases) t.same(parseChallenge(header), challenge, what);
});

t.test('no header makes it throw', async () => {
  const part = fc.constantFrom(
    'Bearer ',
    'Basic',
    'realm',
    '=',
    '"',
    '\\',
    ',',
    ' ',
    'a',
    '\t',
    '"r"',
    'service=',
    '\n',
  );
  const header = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.array(part, { maxLength: 60 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(header, (text) => {
      const challenge = parseChallenge(text);
      return challenge === undefined || challenge.scheme === 'basic' || challenge.realm !== '';
    }),
    { numRuns: 5000 },
  );
});

t.test('hostile headers take no longer than their length deserves', async (t) => {
  const shapes: ((length: number) => string)[] = [
    (length) => `Bearer realm="${'\\'.repeat(length)}`,
    (length) => `Bearer realm="${'\\"'.repeat(length / 2)}`,
    (length) => '"'.repeat(length),
    (length) => 'a'.repeat(length),
    (length) => 'a '.repeat(length / 2),
    (length) => ' '.repeat(length),
    (length) => `a${' '.repeat(length)}b`,
    (length) => `Bearer${' '.repeat(length)}realm${' '.repeat(length)}`,
    (length) => ','.repeat(length),
    (length) => 'a=b,'.repeat(length / 4),
    (length) => 'a,'.repeat(length / 2),
    (length) => 'a="",'.repeat(length / 5),
    (length) => `${'a-'.repeat(length / 2)}=`,
  ];
  /** the best of some tries, in ms for ten parses */
  const measure = (header: string): number => {
    const times = Array.from({ length: 5 }, () => {
      const startMs = performance.now();
      for (let run = 0; run < 10; run++) parseChallenge(header);
      return performance.now() - startMs;
    });
    return Math.min(...times);
  };
  for (const shape of shapes) {
    const [short, long] = [measure(shape(500)), measure(shape(16_000))];
    // 32 times the length: 32 when linear, 1,024 when quadratic. Below a millisecond nothing can be told, nor matters.
    t.ok(long < 20 || long < short * 300, `${shape(8)}: ${short.toFixed(2)} and ${long.toFixed(2)} ms`);
  }
});

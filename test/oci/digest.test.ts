import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { algorithmOf, digestOf, digestOfHash, hashFor, hexOf, parseDigest } from '../../src/oci/digest.ts';

const hex64 = 'ab'.repeat(32);
const hex128 = 'cd'.repeat(64);

t.test('digests', async (t) => {
  for (const text of [`sha256:${hex64}`, `sha512:${hex128}`]) t.equal(parseDigest(text), text);
});

t.test('what is no digest', async (t) => {
  const texts = [
    '',
    'sha256',
    'sha256:',
    hex64,
    `sha256:${hex64.toUpperCase()}`,
    `SHA256:${hex64}`,
    `sha256:${hex64.slice(1)}`,
    `sha256:${hex64}a`,
    `sha256:${hex128}`,
    `sha512:${hex64}`,
    `sha384:${'a'.repeat(96)}`,
    `sha1:${'a'.repeat(40)}`,
    `sha256+b64:${hex64}`,
    `sha256:${hex64}\n`,
    `\nsha256:${hex64}`,
    ` sha256:${hex64}`,
    `sha256:${hex64}\0`,
    `sha256:${'g'.repeat(64)}`,
    `sha256:../../${'a'.repeat(58)}`,
    `sha256:${'a'.repeat(31)}/${'a'.repeat(32)}`,
    `x\nsha256:${hex64}`,
  ];
  for (const text of texts) t.equal(parseDigest(text), undefined, JSON.stringify(text));
});

t.test('a parsed digest is safe as a path component', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `sha256:${text}`),
      ),
      (text) => {
        const digest = parseDigest(text);
        return digest === undefined || /^[a-f0-9]+$/.test(hexOf(digest));
      },
    ),
  );
});

t.test('hashing', async (t) => {
  const empty = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
  t.equal(digestOf(''), empty);
  t.equal(digestOf(Buffer.alloc(0)), empty);
  t.equal(digestOf('abc', 'sha512'), `sha512:${createHash('sha512').update('abc').digest('hex')}`);
  for (const algorithm of ['sha256', 'sha512'] as const) {
    const digest = digestOf('content', algorithm);
    t.equal(parseDigest(digest), digest, 'what is made can be read');
    t.equal(algorithmOf(digest), algorithm);
    t.equal(`${algorithm}:${hexOf(digest)}`, digest);
    t.equal(digestOfHash(algorithm, hashFor(digest).update('content')), digest);
  }
});

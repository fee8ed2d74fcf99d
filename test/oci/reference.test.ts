import fc from 'fast-check';
import t from 'tap';
import { parseReference, parseRepository, parseTag, referenceText } from '../../src/oci/reference.ts';

const digest = `sha256:${'0a'.repeat(32)}`;

t.test('repositories', async (t) => {
  const names = [
    'a',
    '0',
    'library/alpine',
    'a/b/c/d/e',
    'a.b',
    'a_b',
    'a__b',
    'a-b',
    'a-----b',
    'a.b_c__d-e',
  ];
  for (const name of [...names, 'a'.repeat(255), `${'a/'.repeat(127)}a`])
    t.equal(parseRepository(name), name);
});

t.test('what is no repository', async (t) => {
  const names = [
    ...['', '/', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/..', 'a/../b', 'a/./b', '.a', 'a.', 'a..b'],
    ...['-a', 'a-', '_a', 'a_', 'a___b', 'a._b', 'a.-b', 'a/-b', 'a/_b', 'A', 'a/B', 'Library/alpine', 'ä'],
    ...[
      'a b',
      'a\n',
      '\na',
      'a\0',
      'a\\b',
      'a:b',
      'a@b',
      'a?b',
      'a#b',
      'a%2fb',
      'a%2e%2e',
      'a,b',
      'a;b',
      '~a',
    ],
    ...['a'.repeat(256), `${'a/'.repeat(128)}a`],
  ];
  for (const name of names) t.equal(parseRepository(name), undefined, JSON.stringify(name));
});

t.test('tags', async (t) => {
  for (const tag of ['latest', '3.20', '_', 'A', 'v1', 'a..b', '1-2_3.4', 'a'.repeat(128)]) {
    t.equal(parseTag(tag), tag);
  }
  const bad = ['', '.a', '..', '-a', 'a/b', 'a b', 'a:b', 'a\n', 'a\0', 'ä', 'a+b', 'a%2f', 'a'.repeat(129)];
  for (const tag of bad) t.equal(parseTag(tag), undefined, JSON.stringify(tag));
});

t.test('references', async (t) => {
  t.same(parseReference('latest'), { kind: 'tag', tag: 'latest' });
  t.same(parseReference(digest), { kind: 'digest', digest });
  for (const text of [
    '',
    ':',
    'a:b',
    'sha256:',
    `${digest}0`,
    `latest@${digest}`,
    digest.toUpperCase(),
    '../x',
  ]) {
    t.equal(parseReference(text), undefined, text);
  }
  for (const text of ['latest', digest]) {
    const reference = parseReference(text);
    t.equal(reference && referenceText(reference), text, 'and back');
  }
});

/** Text that is near to a name: the pieces that names are made of, and those that break them. */
const nearName = fc
  .array(fc.constantFrom('a', 'b0', '.', '..', '/', '//', '_', '__', '-', 'A', '%2e', '\\', '\n', ' ', ':'), {
    maxLength: 12,
  })
  .map((parts) => parts.join(''));

t.test('no parsed repository can leave its place', async () => {
  fc.assert(
    fc.property(fc.oneof(nearName, fc.string()), (text) => {
      const name = parseRepository(text);
      if (name === undefined) return;
      if (!/^[a-z0-9/._-]{1,255}$/.test(name)) throw new Error('characters');
      if (name.includes('..') || name.includes('//') || name.startsWith('/') || name.endsWith('/'))
        throw new Error('path');
    }),
    { numRuns: 2000 },
  );
});

t.test('no parsed tag holds a separator', async () => {
  fc.assert(
    fc.property(fc.oneof(nearName, fc.string()), (text) => {
      const tag = parseTag(text);
      if (tag !== undefined && !/^\w[\w.-]*$/.test(tag)) throw new Error(tag);
    }),
    { numRuns: 2000 },
  );
});

t.test('long hostile names are refused at once', async (t) => {
  const startMs = performance.now();
  for (const text of [`${'a-'.repeat(500_000)}`, 'a'.repeat(1_000_000), `${'a__'.repeat(80)}_`]) {
    t.equal(parseRepository(text), undefined);
    t.equal(parseTag(text), undefined);
  }
  t.ok(performance.now() - startMs < 5_000);
});

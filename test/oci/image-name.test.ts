import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { parseImageName } from '../../src/oci/image-name.ts';

const digest = digestOf('a');

t.test('names as clients write them', async (t) => {
  for (const [text, host, repository, reference] of [
    ['alpine', undefined, 'alpine', 'latest'],
    ['alpine:3.20', undefined, 'alpine', '3.20'],
    ['team/app', undefined, 'team/app', 'latest'],
    ['docker.io/library/alpine', 'docker.io', 'library/alpine', 'latest'],
    ['GHCR.io/o/a:1', 'ghcr.io', 'o/a', '1'],
    ['localhost/a', 'localhost', 'a', 'latest'],
    ['registry:5000/a/b/c:tag', 'registry:5000', 'a/b/c', 'tag'],
  ] as const) {
    t.same(parseImageName(text), { host, repository, reference: { kind: 'tag', tag: reference } }, text);
  }
  for (const text of [`ghcr.io/o/a@${digest}`, `ghcr.io/o/a:1@${digest}`]) {
    t.same(parseImageName(text), {
      host: 'ghcr.io',
      repository: 'o/a',
      reference: { kind: 'digest', digest },
    });
  }
});

t.test('what is no name', async (t) => {
  for (const text of [
    '',
    '/',
    'ghcr.io/',
    'UPPER/case',
    'a b',
    'a:',
    'a@',
    'a@sha256:12',
    'a:b:c',
    '../a',
    'a:-',
    `a:-@${digest}`,
  ]) {
    t.equal(parseImageName(text), undefined, JSON.stringify(text));
  }
});

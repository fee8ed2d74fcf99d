import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { fullNameText, parseFullName, parseImageName } from '../../src/oci/image-name.ts';

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

t.test('names are completed as Docker does', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  const completed: Record<string, string> = {
    alpine: 'docker.io/library/alpine:latest',
    'alpine:3.20': 'docker.io/library/alpine:3.20',
    'grafana/grafana': 'docker.io/grafana/grafana:latest',
    'index.docker.io/alpine': 'docker.io/library/alpine:latest',
    'docker.io/library/alpine': 'docker.io/library/alpine:latest',
    'GHCR.io/owner/app:1': 'ghcr.io/owner/app:1',
    'localhost/app': 'localhost/app:latest',
    'registry:5000/app': 'registry:5000/app:latest',
    [`alpine:3.20@${digest}`]: `docker.io/library/alpine@${digest}`,
    [`alpine@${digest}`]: `docker.io/library/alpine@${digest}`,
  };
  for (const [text, full] of Object.entries(completed)) {
    const name = parseFullName(text);
    t.equal(name && fullNameText(name), full, text);
  }
  for (const text of ['', 'Alpine', 'a:b:c', 'alpine@sha256:12', 'https://docker.io/alpine'])
    t.equal(parseFullName(text), undefined, text);
});

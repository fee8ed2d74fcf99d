import t from 'tap';
import { linesOf, problemsOf, read, sample } from './read.ts';

const IMAGES = [
  '3 docker.io/library/alpine:latest',
  '4 docker.io/library/python:3.13 linux/amd64,linux/arm64',
  '5 ghcr.io/owner/app:1',
  '6 quay.io/org/tool:v1 all',
  '7 localhost:5000/own:latest linux/arm/v7,linux/arm64',
];

t.test('a list as people write it', async (t) => {
  const list = read(sample('images.txt'), '/etc/hubcap/images.txt');
  t.equal(list.kind, 'plain');
  t.same(linesOf(list), IMAGES);
  t.equal(list.images[0]?.at, '/etc/hubcap/images.txt:3');
  t.same(list.notes, []);
});

t.test('Windows line ends and a byte order mark change nothing', async (t) => {
  t.same(linesOf(read(`\uFEFF${sample('images.txt').replaceAll('\n', '\r\n')}`)), IMAGES);
});

t.test('what `hubcap misses --list` prints', async (t) => {
  const list = read(sample('misses.txt'));
  t.equal(list.kind, 'plain');
  t.same(linesOf(list), [
    '1 docker.io/library/alpine:3.20 linux/amd64,linux/arm64/v8',
    `2 ghcr.io/owner/app@sha256:${'2e3f'.repeat(16)}`,
    '3 docker.io/library/redis:7',
  ]);
});

t.test('a list without images is one', async (t) => {
  for (const text of ['', '\uFEFF', '\r\n', '# nothing was missed\n', ' \t\n\n#'])
    t.same(read(text), { kind: 'plain', images: [], notes: [] }, JSON.stringify(text));
});

t.test('a digest decides over its tag; the last line needs no end', async (t) => {
  const digest = `sha256:${'0a'.repeat(32)}`;
  t.same(linesOf(read(`alpine:3.20@${digest}`)), [`1 docker.io/library/alpine@${digest}`]);
});

t.test('what is no reference or no platform, each with its line', async (t) => {
  const text =
    'alpine\nDebian:12\nalpine 3.20\nredis linux/\nredis all linux/amd64\nhttps://hub/x\nx@sha256:0\n';
  t.same(problemsOf(text, 'list.txt'), [
    'list.txt:2: "Debian:12" is no reference of an image; hosts may have upper case, repositories have lower case',
    'list.txt:3: "3.20" after the reference is no platform; write a tag as name:tag, a platform as linux/amd64, and a comment after #',
    'list.txt:4: "linux/" is no platform; write it as linux/amd64 or linux/arm64/v8',
    'list.txt:5: "all" stands for every platform; leave out the others',
    'list.txt:6: "https://hub/x" is no reference of an image; leave out what stands before the ://, and the slashes',
    'list.txt:7: "x@sha256:0" is no reference of an image; a digest is sha256: and 64 hexadecimal digits in lower case',
  ]);
  t.same(problemsOf('redis\nalpine:'), [
    'standard input:2: "alpine:" is no reference of an image; a tag is missing after the colon',
  ]);
});

t.test('text from outside cannot write lines of its own into a message', async (t) => {
  const [problem = ''] = problemsOf(`A\u001b[31m\u0000${'x'.repeat(1000)}`);
  t.notMatch(problem, '\u001b');
  t.notMatch(problem, '\0');
  t.ok(problem.length < 300);
});

import t from 'tap';
import { linesOf, problemsOf, read, sample } from './read.ts';

const COMPOSE = sample('compose.yaml');

t.test('a Compose file with anchors, profiles, extends and variables', async (t) => {
  const list = read(COMPOSE, 'shop/compose.yaml', { SHOP_VERSION: '2.4' });
  t.equal(list.kind, 'compose');
  t.same(linesOf(list), [
    '9 ghcr.io/shop/worker:2.4',
    '37 ghcr.io/shop/bills:2.4 linux/amd64',
    '45 ghcr.io/shop/seeds:2',
    '41 docker.io/library/postgres:17-alpine',
    '41 docker.io/library/postgres:17-alpine linux/arm64/v8',
    `54 docker.io/valkey/valkey@sha256:${'6f6e'.repeat(16)}`,
    '67 ghcr.io/shop/published:1',
  ]);
  t.same(list.notes, [
    'shop/compose.yaml:75: ../monitoring/compose.yaml is included, which is not read; give it with -f',
    'shop/compose.yaml:21: the service web is built here as shop/web:dev, not fetched; for what it is built from, give web/Dockerfile.prod with -f',
    'shop/compose.yaml:28: the service web-tests uses shop/web:dev, which another service builds',
    'shop/compose.yaml:58: the service proxy extends one of ../common/services.yaml, which is not read; give it with -f',
    'shop/compose.yaml:62: the service docs is built here; for what it is built from, give Dockerfile with -f',
    'shop/compose.yaml:71: the service local has pull_policy never: local-only:1 is not fetched',
  ]);
});

t.test('Windows line ends, a byte order mark and standard input change nothing', async (t) => {
  const variables = { SHOP_VERSION: '2.4' };
  const windows = read(`\uFEFF${COMPOSE.replaceAll('\n', '\r\n')}`, '-', variables);
  t.equal(windows.kind, 'compose');
  t.same(linesOf(windows), linesOf(read(COMPOSE, 'compose.yaml', variables)));
});

t.test('variables as Compose has them', async (t) => {
  const variables = { SET: 'v', EMPTY: '', X: '$SET' };
  const image = (text: string) =>
    linesOf(read(`services:\n  a:\n    image: 'a:${text}'\n`, '-', variables))[0]?.split(':')[1];
  for (const [text, tag] of [
    ['$SET', 'v'],
    [`\${SET}1`, 'v1'],
    [`\${UNSET:-d}`, 'd'],
    [`\${EMPTY:-d}`, 'd'],
    [`x\${EMPTY-d}`, 'x'],
    [`\${UNSET-d}`, 'd'],
    [`\${SET:?no}`, 'v'],
    [`\${SET:+r}`, 'r'],
    [`x\${EMPTY:+r}`, 'x'],
    [`x\${EMPTY+r}`, 'xr'],
    [`x\${UNSET+$ALSO_UNSET}`, 'x'],
    [`\${UNSET:-\${EMPTY:-$SET}}`, 'v'],
    [`\${SET:-$UNSET}`, 'v'],
    [`\${SET:-a}b`, 'vb'],
  ] as const)
    t.equal(image(text), tag, text);
});

t.test('what a Compose file may not say, with its line', async (t) => {
  const service = (...lines: string[]) =>
    ['services:', '  a:', ...lines.map((line) => `    ${line}`)].join('\n');
  const faults: [what: string, text: string, ...problems: RegExp[]][] = [
    ['an unset variable', service('image: a:$TAG'), /^f\.yaml:3: .*the variable TAG is not set; set it/],
    ['one from the prototype', service('image: a:$constructor'), /constructor is not set/],
    ['a required variable', service(`image: a:\${TAG:?which}`), /:3: .*TAG is required \(which\); set it/],
    ['an open brace', service(`image: "a:\${TAG"`), /:3: .*is not understood/],
    ['an open default', service(`image: "a:\${TAG:-x"`), /:3: .*a closing \} is missing/],
    ['no name', service(`image: "a:\${}"`), /:3: .*no name of a variable/],
    ['a replacement', service(`image: a:\${TAG/x/y}`), /:3: .*is not understood; write the value/],
    [
      'a doubled dollar',
      service('image: a:$$TAG'),
      /:3: "a:\$TAG" is no reference of an image; put the value/,
    ],
    ['an empty image', service('image:'), /:3: the image of the service a is empty/],
    [
      'an image that is a mapping',
      service('image: {name: x}'),
      /:3: the image of the service a is empty or no text/,
    ],
    ['no reference', service('image: Debian'), /:3: "Debian" is no reference/],
    ['no platform', service('image: a', 'platform: linux/'), /:4: "linux\/" is no platform/],
    ['no platform in a variable', service('image: a', 'platform: $P'), /:4: .*P is not set/],
    ['no service', 'services:\n  a: x', /:2: the service a has no keys/],
    ['no services', 'services: [a]', /:1: services are no mapping/],
    ['a volume without image', service('image: a', 'volumes:', '- type: image'), /:5: a reference is empty/],
    ['an include without file', 'include:\n- {env_file: a}\nservices: {}', /^read as compose/],
    ['an include of a sequence', 'include:\n- [a]', /:2: an include names no file/],
    ['extends of nothing', service('image: a', 'extends: {}'), /:4: what the service a extends is not named/],
    ['a key twice', service('image: a', 'image: b'), /:4: the key "image" is there twice/],
    ['an anchor that is not there', service('<<: *b'), /:3: the alias \*b names no anchor before it/],
    ['a merge of text', service('<<: b', 'image: a'), /:3: what << merges is no mapping/],
    ['a circle', 'services: &a\n  a: *a', /:2: the alias \*a stands inside of what it names/],
    ['two documents', 'services: {}\n---\nservices: {}', /:1: services, and keys/, /:3: services, and keys/],
    ['an unknown key', 'services: {}\nimages: []', /:1: services, and keys beside them/],
  ];
  for (const [what, text, ...expected] of faults) t.match(problemsOf(text, 'f.yaml'), expected, what);
});

t.test('all problems are told at once, each once', async (t) => {
  const text = 'x-a: &a {image: "a:$A"}\nservices:\n  a: {<<: *a}\n  b: {<<: *a}\n  c: {image: "$B"}\n';
  t.match(problemsOf(text), [/^standard input:1: .*variable A /, /^standard input:5: .*variable B /]);
});

t.test('what holds no image is noted', async (t) => {
  const notes = (text: string) => read(text, 'c.yaml').notes;
  t.match(notes('services: {a: {}}'), [/^c\.yaml:1: the service a has no image here/]);
  t.match(notes('services:\n  a: {extends: b}\n  b: {extends: a}'), [/:2: .* no image/, /:3: .* no image/]);
  t.match(notes('services: {a: {provider: {type: x}}}'), [/left to a provider/]);
  t.match(notes('services: {a: {build: {context: https://x/y.git}}}'), [/give Dockerfile with -f/]);
  t.match(notes('services: {a: {build: {dockerfile_inline: FROM x}}}'), [/stands in this file/]);
  t.match(notes('services: {}\nmodels: {llm: {model: ai/x}}'), [/:2: the model llm is no image/]);
  t.match(notes('include: [{path: [a.yaml, b.yaml]}]'), [/a\.yaml is included/, /b\.yaml is included/]);
  t.same(linesOf(read('services: {a: {image: !reset null, build: .}, b: {image: x}}')), [
    '1 docker.io/library/x:latest',
  ]);
});

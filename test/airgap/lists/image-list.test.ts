import fc from 'fast-check';
import t from 'tap';
import { linesOf, problemsOf, read, sample } from './read.ts';

t.test('the kind is told by the name of the file', async (t) => {
  const dockerfile = 'FROM a';
  for (const name of [
    'Dockerfile',
    'a/Dockerfile.prod',
    'C:\\b\\web.dockerfile',
    'Containerfile',
    'dockerfile-x',
  ])
    t.equal(read(dockerfile, name).kind, 'dockerfile', name);
  for (const name of ['compose.yaml', 'a.YML', 'b/c.json'])
    t.equal(read('{"services": {}}', name).kind, 'compose', name);
  t.match(problemsOf('alpine', 'images.yaml'), [/^images\.yaml:1: only the text "alpine"/]);
  t.match(problemsOf('alpine', 'Dockerfile'), [/^Dockerfile:1: a Dockerfile without FROM/]);
});

t.test('and by its content, where the name does not tell', async (t) => {
  const samples = [
    ['compose.yaml', 'compose'],
    ['kube-prometheus.yaml', 'kubernetes'],
    ['helm-template.yaml', 'kubernetes'],
    ['kubectl.json', 'kubernetes'],
    ['Dockerfile', 'dockerfile'],
    ['Dockerfile.windows', 'dockerfile'],
    ['images.txt', 'plain'],
    ['misses.txt', 'plain'],
  ] as const;
  for (const name of ['-', 'list', 'list.txt', 'my.lst']) {
    for (const [file, kind] of samples) {
      t.equal(read(sample(file), name, { SHOP_VERSION: '1' }).kind, kind, `${file} as ${name}`);
    }
  }
  for (const [text, kind] of [
    ['from alpine as x', 'dockerfile'],
    ['# about\n\nARG A=1\nFROM a:$A', 'dockerfile'],
    ['localhost:5000/a', 'plain'],
    ['alpine:3.20', 'plain'],
    ['"services": {}', 'compose'],
    ['%YAML 1.2\n---\nservices: {}', 'compose'],
    ['x-y: 1\nservices: {}', 'compose'],
    ['{"apiVersion": "v1", "kind": "List", "items": []}', 'kubernetes'],
  ] as const)
    t.equal(read(text).kind, kind, text);
});

t.test('a list is read as a whole or not at all', async (t) => {
  t.same(problemsOf('alpine\nB\nredis\nC\n').length, 2);
  const many = problemsOf('B\n'.repeat(5000), 'l');
  t.equal(many.length, 1000, 'after so many, whoever corrects it starts');
});

t.test('the message shows where, a hundred problems at most', async (t) => {
  t.throws(() => read('B\n'.repeat(500)), {
    name: 'ListError',
    message: /^standard input:1: .*\n.*\n(?:.*\n)*and 400 more problems$/,
  });
});

t.test('bounds: length, count, depth, and what aliases multiply', async (t) => {
  t.match(problemsOf(`a${' '.repeat(9 * 1024 * 1024)}`), [/^standard input: too long/]);
  t.match(problemsOf('a\n'.repeat(100_001)), [/^standard input: more than 100000 images/]);
  for (const deep of [
    '['.repeat(10_000),
    '{a: '.repeat(10_000),
    `a:\n  ${'- '.repeat(1000)}x`,
    '- '.repeat(10_000),
  ])
    t.match(problemsOf(deep, 'a.yaml'), [/^a\.yaml:[12]: nested deeper than 200 levels/], deep.slice(0, 8));
  const laughs = Array.from({ length: 100 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at},`.repeat(9)}]`);
  const pod = 'apiVersion: v1\nkind: Pod\n';
  t.same(linesOf(read(`${pod}a0: &a0 {image: x}\n${laughs.join('\n')}\n`)), ['3 docker.io/library/x:latest']);
  const keys = Array.from({ length: 1000 }, (_, at) => `k${at}: 1`).join(', ');
  const merged = `x-a: &a {${keys}}\nservices:\n${Array.from({ length: 200 }, (_, at) => `  s${at}: {<<: *a}\n`).join('')}`;
  t.match(problemsOf(merged), [/merge keys give more than 100000 entries/]);
});

t.test('long text of every kind is read in time that grows with its length', async (t) => {
  // In the square of its length, each of these would take minutes; the deadline is far above what they need.
  const count = 10_000;
  const texts: [name: string, text: string][] = [
    ['Dockerfile', '#\nFROM a AS b\n'.repeat(count)],
    ['Dockerfile', 'FROM a\nRUN <<A\nA\n'.repeat(count)],
    ['Dockerfile', `FROM a\nRUN <<A ${'<<A '.repeat(count)}`],
    ['Dockerfile', `FROM a\nRUN ${'\\ '.repeat(count)}<<A`],
    ['Dockerfile', `FROM a\nRUN "${'\\"'.repeat(count)}<<A`],
    ['Dockerfile', `FROM ${'$'.repeat(count)}`],
    ['Dockerfile', `FROM a\nRUN a${'\\\n'.repeat(count)}`],
    ['a.yaml', Array.from({ length: count }, (_, at) => `k${at}: 1`).join('\n')],
    [
      'a.yaml',
      `services:\n${Array.from({ length: count }, (_, at) => ` s${at}: {extends: s${at + 1}}`).join('\n')}`,
    ],
    ['a.yaml', `a: &a 1\n${'b: *a\n'.repeat(count)}`],
    ['a.yaml', '---\n'.repeat(count)],
    ['a.yaml', '"'.repeat(count)],
    ['-', `a${' '.repeat(count)}#`],
    ['-', `${'a-'.repeat(count)}:`],
    ['-', `${'a.'.repeat(count)}/`],
  ];
  for (const [name, text] of texts) {
    const start = performance.now();
    problemsOf(text, name);
    t.ok(performance.now() - start < 20_000, `${name}: ${JSON.stringify(text.slice(0, 20))}`);
  }
});

t.test('any text is read or refused with a ListError', async () => {
  const piece = fc.constantFrom(
    ...[
      'FROM ',
      'ARG ',
      'COPY --from=',
      'RUN --mount=from=',
      'AS ',
      'ONBUILD ',
      '# syntax=',
      '# escape=`',
      '<<EOF',
      'EOF',
    ],
    ...[
      'services:',
      'image: ',
      'image:',
      'build: .',
      'extends: a',
      'apiVersion: v1',
      'kind: List',
      'kind: Pod',
      'items:',
    ],
    ...[
      '<<: *a',
      '&a ',
      '*a',
      '!reset ',
      '---',
      '- ',
      '? ',
      ': ',
      '{',
      '}',
      '[',
      ']',
      ',',
      '|',
      '>',
      '%YAML 1.1',
    ],
    ...[
      'alpine',
      'ghcr.io/a/b:1',
      '@sha256:',
      'linux/amd64',
      'all',
      '$',
      '${',
      ':-',
      ':?',
      '{{',
      '}}',
      '.Values',
    ],
    ...[
      '\n',
      '\n',
      '\n  ',
      '\n    ',
      '\r\n',
      '\t',
      ' ',
      '\\\n',
      '`\n',
      '"',
      "'",
      '#',
      '\0',
      '\uFEFF',
      '\u2028',
      '😀',
      '\uD800',
    ],
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join('')),
    fc.json().map((json) => `{"apiVersion": "a.b/v1", "kind": "C", "spec": ${json}}`),
  );
  const name = fc.constantFrom('-', 'a.yaml', 'Dockerfile', 'list.txt');
  fc.assert(
    fc.property(text, name, (content, file) => {
      // Throws what is no ListError.
      for (const problem of problemsOf(content, file, { A: '1' })) {
        if (/^read as /.test(problem)) continue;
        if (!/^(?:standard input|a\.yaml|Dockerfile|list\.txt):\d+: .+/.test(problem))
          throw new Error(problem);
      }
    }),
    { numRuns: 1000 },
  );
});

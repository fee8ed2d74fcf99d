import t from 'tap';
import { linesOf, problemsOf, read, sample } from './read.ts';

t.test('a Dockerfile with stages, mounts, heredocs and build arguments', async (t) => {
  const expected = [
    '1 docker.io/docker/dockerfile:1.7',
    '10 docker.io/library/golang:1.24',
    '18 docker.io/library/node:24-alpine',
    `28 docker.io/library/debian@sha256:${'1c2d'.repeat(16)} linux/amd64`,
    '11 ghcr.io/example/sources:3',
    '30 docker.io/library/legacy-tools:1',
    '35 docker.io/library/busybox:musl',
  ];
  const text = sample('Dockerfile');
  const list = read(text, 'web/Dockerfile');
  t.equal(list.kind, 'dockerfile');
  t.same(linesOf(list), expected);
  t.same(list.notes, [
    'web/Dockerfile:31: "nginx:1" is for builds that start from this image; give it too if it is an image',
  ]);
  const windows = read(`\uFEFF${text.replaceAll('\n', '\r\n')}`);
  t.equal(windows.kind, 'dockerfile', 'told by its content');
  t.same(linesOf(windows), expected);
});

t.test('build arguments win over defaults, where an ARG declares them', async (t) => {
  const text = sample('Dockerfile');
  const images = linesOf(read(text, 'Dockerfile', { NODE: '22', REGISTRY: 'r.example.com', INSIDE: 'x' }));
  t.equal(images[2], '18 r.example.com/library/node:22-alpine');
  t.match(problemsOf('FROM a:$B', '-', { B: '1' }), [/:1: .*the variable B is not set/]);
});

t.test('another character for escapes', async (t) => {
  t.same(linesOf(read(sample('Dockerfile.windows'))), ['3 mcr.microsoft.com/windows/servercore:ltsc2022']);
});

t.test('a FROM in a heredoc is none, and what only looks like a heredoc hides none', async (t) => {
  const images = (...lines: string[]) =>
    linesOf(read(lines.join('\n'), 'Dockerfile')).map((line) => line.split(/[ :]/, 3).at(1));
  const last = 'docker.io/library/b';
  const cases: [what: string, ...lines: string[]][] = [
    ['a heredoc', 'RUN <<EOF', 'FROM x', 'EOF'],
    ['with white space', 'RUN cat << EOF > f', 'FROM x', 'EOF'],
    ['with a descriptor', 'RUN 3<<EOF', 'FROM x', 'EOF'],
    ['quoted', "RUN <<'E F'", 'FROM x', 'EOF', 'E F'],
    ['with tabs', 'RUN <<-EOF', '\tFROM x', '\tEOF'],
    ['two', 'COPY <<A <<B /', 'A', 'FROM x', 'B'],
    ['in a trigger', 'ONBUILD RUN <<EOF', 'FROM x', 'EOF'],
    ['on a continued line', 'RUN \\', '  <<EOF', 'FROM x', 'EOF'],
    ['in quotes', 'RUN echo "<<EOF or" \'<<EOF\''],
    ['a here string', 'RUN cat <<< EOF'],
    ['in JSON', 'RUN ["sh", "-c", "cat", "<<EOF"]'],
    ['in another instruction', 'CMD cat <<EOF'],
    ['in a comment', 'RUN a \\', '# <<EOF', ' && b'],
    ['with a quote that does not close', "RUN echo don't <<EOF"],
    ['an end of file in a continued line', 'RUN a && \\', '', '# x', '  b'],
    ['an escaped continuation', 'RUN echo \\\\'],
  ];
  for (const [what, ...lines] of cases)
    t.same(images('FROM a', ...lines, 'FROM b'), ['docker.io/library/a', last], what);
});

t.test('what a Dockerfile may not say, with its line', async (t) => {
  const faults: [what: string, text: string, ...problems: RegExp[]][] = [
    ['an ARG without value', 'ARG TAG\nFROM a:$TAG', /^Dockerfile:2: .*the variable TAG is not set; set it/],
    [
      'a default that needs one',
      'ARG A\nARG B=x$A\nFROM a:$B',
      /:3: .*B has a default that cannot be known \(A is not set\)/,
    ],
    ['an ARG of the stage', 'FROM a\nARG B=1\nFROM c:$B', /:3: .*B is not set/],
    ['the same, declared', 'ARG TARGETARCH\nFROM a:$TARGETARCH', /:2: .*TARGETARCH depends on the platform/],
    ['the platform in a name', 'FROM a:$TARGETARCH', /:1: .*TARGETARCH depends on the platform/],
    ['a required argument', `ARG A\nFROM a:\${A:?which}`, /:2: .*A is required \(which\)/],
    ['a pattern', `ARG A=1\nFROM a:\${A%.*}`, /:2: .*is not understood/],
    ['an ARG that is none', 'ARG 1=2\nFROM a', /:1: ARG takes NAME or NAME=default, not "1=2"/],
    ['arguments that grow', `ARG A=xxxx\n${'ARG A=$A$A\n'.repeat(40)}FROM $A`, /:42: .*too long/],
    ['no reference', 'FROM Debian', /:1: "Debian" is no reference/],
    ['no image', 'FROM a\nFROM', /:2: FROM takes an image/],
    ['too many words', 'FROM a AS', /:1: FROM takes an image, or an image AS a name/],
    ['no platform', 'FROM --platform=linux/ a', /:1: "linux\/" is no platform/],
    ['another flag', 'FROM --from=b a', /:1: FROM does not know the flag "--from=b"/],
    ['an unknown instruction', 'FROM a\nFORM b', /:2: "FORM" is no instruction/],
    ['a RUN before FROM', 'RUN a\nFROM a', /:1: RUN stands before the first FROM/],
    ['no FROM', '# x\nARG A', /:1: a Dockerfile without FROM/],
    ['a stage that is not there', 'FROM a\nCOPY --from=1 a b', /:2: there is no stage number 1/],
    ['a variable in COPY', 'FROM a\nCOPY --from=$B a b', /:2: from=\$B in COPY: no variable is expanded/],
    ['a variable in a mount', 'FROM a\nRUN --mount=type=bind,from=$B a', /:2: from=\$B in RUN: no variable/],
    ['no reference in a mount', 'FROM a\nRUN --mount=from=B! a', /:2: "B!" is no reference/],
    ['a heredoc without end', 'FROM a\nRUN <<EOF\nFROM b\n', /:2: the text after "<<EOF" has no end/],
    ['a template', 'FROM {{ image }}', /:1: FROM takes an image/, /:1: "\{\{" is no reference/],
  ];
  for (const [what, text, ...expected] of faults) t.match(problemsOf(text, 'Dockerfile'), expected, what);
});

t.test('platforms of a stage', async (t) => {
  const platform = (flag: string, variables = {}) =>
    linesOf(
      read(`ARG P=linux/arm64\nARG BUILDPLATFORM\nFROM --platform=${flag} a`, '-', variables),
    )[0]?.split(' ')[2];
  t.equal(platform('linux/s390x'), 'linux/s390x');
  t.equal(platform('$P'), 'linux/arm64');
  t.equal(platform('$BUILDPLATFORM'), undefined, 'whoever reads the list says which');
  t.equal(platform('linux/$TARGETARCH'), undefined);
  t.equal(platform('$TARGETPLATFORM', { TARGETPLATFORM: 'linux/riscv64' }), 'linux/riscv64');
});

t.test('a stage that the platform chooses is no image', async (t) => {
  const text =
    'FROM a AS build-amd64\nFROM b AS build-arm64\nARG TARGETARCH\nFROM build-$TARGETARCH AS out\n';
  t.same(linesOf(read(text)), ['1 docker.io/library/a:latest', '2 docker.io/library/b:latest']);
  const chosen = `ARG D\n${text}FROM build-\${TARGETARCH}\${D:+-debug}\n`;
  t.same(linesOf(read(chosen)).length, 2);
  t.match(problemsOf(chosen, '-', { D: '1' }), [/:6: .*TARGETARCH depends on the platform/]);
  t.match(problemsOf('FROM a AS build\nFROM $TARGETARCH'), [/:2: .*TARGETARCH depends on the platform/]);
  t.match(problemsOf('FROM a AS b\n'.repeat(10_001)), [/:10001: more than 10000 stages/]);
});

t.test('stages are no images, in any case and order that a build allows', async (t) => {
  const text = 'FROM later AS one\nCOPY --from=LATER a b\nFROM One AS later\nFROM later\nCOPY --from=1 a b\n';
  t.same(linesOf(read(text)), ['1 docker.io/library/later:latest'], 'a FROM sees the stages before it alone');
});

import t from 'tap';
import { linesOf, problemsOf, read, sample } from './read.ts';

t.test('many documents with a definition, an operator and its resources', async (t) => {
  const list = read(sample('kube-prometheus.yaml'), 'all.yaml');
  t.equal(list.kind, 'kubernetes');
  t.same(linesOf(list), [
    '31 docker.io/library/busybox:1.37',
    '34 quay.io/prometheus-operator/prometheus-operator:v0.81.0',
    '39 quay.io/brancz/kube-rbac-proxy:v0.19.0',
    '50 quay.io/prometheus/prometheus:v3.2.1',
    '56 quay.io/thanos/thanos:v0.38.0',
    '88 docker.io/example/database:1.20',
    '91 registry.example.com:5000/db/backup:3',
    `93 ghcr.io/example/proxy@sha256:${'9b0a'.repeat(16)}`,
  ]);
  t.same(list.notes, [
    'all.yaml:37: "quay.io/prometheus-operator/prometheus-config-reloader:v0.81.0" in args looks like an image; if it is pulled, give it too',
    'all.yaml:78: "template.yaml" of the ConfigMap sidecars names images, and is not read; give them too',
    'all.yaml:95: the image "example/metrics" has no tag here: its operator adds one; give it with the tag',
    'all.yaml:97: an empty image, left to the operator',
    'all.yaml:98: "ghcr.io/example/postgresql:17.4" in imageName looks like an image; if it is pulled, give it too',
  ]);
});

t.test('what helm template prints', async (t) => {
  for (const text of [
    sample('helm-template.yaml'),
    `\uFEFF${sample('helm-template.yaml').replaceAll('\n', '\r\n')}`,
  ]) {
    const list = read(text);
    t.equal(list.kind, 'kubernetes');
    t.same(linesOf(list), [
      `18 docker.io/library/nginx@sha256:${'0a1b'.repeat(16)}`,
      '23 quay.io/example/models:v2',
      '43 registry.k8s.io/kubectl:v1.33.0',
      '53 docker.io/library/busybox:latest',
    ]);
    t.same(list.notes, []);
  }
});

t.test('lists as kubectl prints them, with what runs left out', async (t) => {
  const text = sample('kubectl.json');
  const list = read(text);
  t.equal(list.kind, 'kubernetes');
  t.same(linesOf(read(text.replaceAll('  ', '\t'))), linesOf(list), 'with tabs');
  t.same(linesOf(list), [
    '10 ghcr.io/example/app:2.1',
    '11 docker.io/library/busybox:1.36',
    '26 localhost:5000/node-agent:latest',
  ]);
});

const POD = 'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c\n';
const CUSTOM = 'apiVersion: example.com/v1\nkind: Thing\nspec:\n';

t.test('what a manifest may not say, with its line', async (t) => {
  const faults: [what: string, text: string, ...problems: RegExp[]][] = [
    ['an empty image', `${POD}    image:\n`, /^f\.yaml:6: a reference is empty/],
    ['an image of quotes alone', `${POD}    image: ""\n`, /:6: a reference is empty/],
    ['what ko builds', `${POD}    image: ko://example.com/cmd/a\n`, /:6: .*ko resolve -f FILE/],
    ['a number', `${POD}    image: 1.20\n`, /:6: the image 1\.20 is a number, no text; put it in quotes/],
    ['no reference', `${POD}    image: Nginx\n`, /:6: "Nginx" is no reference/],
    ['a variable', `${POD}    image: nginx:\${TAG}\n`, /:6: .*put the value in place of the variable/],
    [
      'a number for a tag',
      `${CUSTOM}  image: {repository: a, tag: 1.20}\n`,
      /:4: the tag 1\.20 is a number; put it in quotes/,
    ],
    ['one document of another kind', `${POD}    image: a\n---\nreplicas: 2\n`, /:8: no object of Kubernetes/],
    [
      'an item of a list without kind',
      'apiVersion: v1\nkind: List\nitems:\n- spec: {}\n',
      /:4: no object of Kubernetes/,
    ],
    ['no YAML', `${POD}    image: "a\n`, /:\d+: not YAML: /],
    [
      'an unrendered template',
      'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: {{ .Values.image }}\n',
      /:5: .*helm template CHART/,
    ],
    ['one in quotes', `${POD}    image: "{{ .Values.image }}:1"\n`, /:6: .*helm template CHART/],
    [
      'one in quotes in a custom resource',
      `${CUSTOM}  image: "{{ .Values.image }}:1"\n`,
      /:4: .*helm template CHART/,
    ],
    [
      'one with conditions',
      '{{- if .Values.on }}\napiVersion: v1\nkind: Pod\n{{- end }}\n',
      /:1: .*helm template CHART/,
    ],
    [
      'a kustomization',
      'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages: [{name: a}]\n',
      /:1: .*kustomize build DIRECTORY/,
    ],
    ['only comments', '# nothing\n---\n', /:1: holds no document/],
    [
      'values of a chart',
      'image:\n  repository: a\n  tag: b\n',
      /:1: neither a Compose file .* helm template CHART/,
    ],
    ['a chart', 'apiVersion: v2\nname: a\nversion: 1.0.0\n', /:1: a part of a Helm chart/],
    ['a sequence', '- alpine\n- redis\n', /:1: a YAML sequence; give one reference to a line/],
    ['a text', 'alpine\n', /:1: only the text "alpine"/],
  ];
  for (const [what, text, ...expected] of faults) t.match(problemsOf(text, 'f.yaml'), expected, what);
  t.match(problemsOf('resources: [a.yaml]\n', 'x/kustomization.yaml'), [/:1: .*kustomize build DIRECTORY/]);
  t.match(problemsOf('a: 1\n', 'chart/values.prod.yaml'), [/:1: a part of a Helm chart/]);
});

t.test('custom resources mean what their operators mean: what is no reference there is noted', async (t) => {
  const notes = (text: string) => read(CUSTOM + text, 'c.yaml').notes;
  t.match(notes('  image: $(params.image)\n'), [/^c\.yaml:4: .* gets its value when it runs/]);
  t.match(notes("  image: '{{inputs.parameters.image}}'\n"), [/gets its value when it runs/]);
  t.match(notes('  image: Ubuntu 24.04\n'), [/:4: not fetched, as "Ubuntu 24\.04" is no reference/]);
  t.match(notes('  image: true\n'), [/:4: the image true is a boolean/]);
  t.match(notes('  image: {tag: v1}\n'), [/without its repository/]);
  t.same(linesOf(read(`${CUSTOM}  a: [{b: {image: {url: x, more: {image: redis:7}}}}]\n`)), [
    '4 docker.io/library/redis:7',
  ]);
  const release = 'apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: db}\n';
  t.match(read(release).notes, [/:1: the HelmRelease db installs what is not read here/]);
});

t.test('containers without an image of their own are noted', async (t) => {
  t.match(read(POD).notes, [/:5: the container c has no image here/]);
  t.match(read(`${POD}    image: auto\n`).notes, [/:6: the image "auto" is put in by an injector/]);
});

t.test('an image that aliases name is found once', async (t) => {
  const text = 'apiVersion: v1\nkind: Pod\na: &a {image: redis}\nb: [*a, *a]\nc: {<<: *a, image: valkey}\n';
  t.same(linesOf(read(text)), ['3 docker.io/library/redis:latest', '5 docker.io/library/valkey:latest']);
});

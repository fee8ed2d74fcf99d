import fc from 'fast-check';
import t from 'tap';
import { inspectDaemonJson } from '../../../src/check/clients/docker.ts';
import { flagsIn, flagsInUnits, inspectFlags } from '../../../src/check/clients/docker-flags.ts';
import { daemonJsonCases } from './daemon-json-table.ts';

const path = '/etc/docker/daemon.json';

t.test('each mistake is named, with what to do', async (t) => {
  for (const { text, id, says, flags = [] } of daemonJsonCases) {
    const { findings, keys } = inspectDaemonJson({ path, text });
    const all = [...findings, ...inspectFlags(flagsIn(flags, 'docker.service'), keys)];
    t.same(
      all.map((finding) => finding.id),
      id === undefined ? [] : [id],
      text,
    );
    const [finding] = all;
    if (says) t.match(`${finding?.message} ${finding?.remedy}`, says, text);
    t.notMatch(JSON.stringify(all), /hunter2/, 'no secret is shown');
  }
});

t.test('a mirror that Docker takes is to be tried, one that it refuses is not', async (t) => {
  const text = JSON.stringify({
    'registry-mirrors': ['http://127.0.0.1:5000/', 'https://mirror.example', 'mirror.example'],
    'insecure-registries': ['mirror.example'],
  });
  const { mirrors } = inspectDaemonJson({ path, text });
  t.same(
    mirrors.map(({ url, isUnproven }) => [url.href, isUnproven]),
    [
      ['http://127.0.0.1:5000/', true],
      ['https://mirror.example/', true],
    ],
  );
});

t.test(
  'whatever is in the file, there are findings, and it is called JSON exactly where JSON.parse takes it',
  async () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"registry-mirrors"',
      '"insecure-registries"',
      '"http://127.0.0.1:5000"',
      '//',
      "'",
      '“',
      '\ufeff',
      'null',
      ' ',
      '\n',
      '"',
      '\\',
      '#',
      '1',
      'true',
      '"__proto__"',
    );
    const built = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(''));
    const any = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('utf8'));
    const valid = fc.json();
    const keyed = fc
      .jsonValue()
      .map((value) => JSON.stringify({ 'registry-mirrors': value, 'insecure-registries': [value] }));
    const urls = fc
      .array(fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string({ unit: 'binary' })))
      .map((list) => JSON.stringify({ 'registry-mirrors': list, 'insecure-registries': list }));
    fc.assert(
      fc.property(fc.oneof(built, any, valid, keyed, urls), (text) => {
        const { findings } = inspectDaemonJson({ path, text });
        const isCalledInvalid = findings.some(({ id }) => id === 'docker.json');
        return (
          isCalledInvalid !== isJson(text) &&
          findings.every(({ message, remedy }) => message !== '' && remedy !== '')
        );
      }),
      { numRuns: 2_000 },
    );
  },
);

t.test('flags are found in units: drop-ins, an empty ExecStart, variables, lines that go on', async (t) => {
  const unit = {
    path: '/lib/systemd/system/docker.service',
    text: '[Service]\nExecStart=/usr/sbin/dockerd -H fd:// \\\n  --registry-mirror http://a:1\n',
  };
  t.same(flagsInUnits([unit], new Map()), [
    { name: 'registry-mirror', value: 'http://a:1', place: unit.path },
  ]);
  const dropIn = {
    path: '/etc/systemd/system/docker.service.d/x.conf',
    text: '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd $DOCKER_OPTS\nEnvironmentFile=-/etc/default/docker\n',
  };
  t.same(flagsInUnits([unit, dropIn], new Map()), []);
  const environment = new Map([
    [
      '/etc/default/docker',
      '# options\nDOCKER_OPTS="--insecure-registry=10.0.0.1 --registry-mirror=http://b:2"\n',
    ],
  ]);
  t.same(
    flagsInUnits([unit, dropIn], environment).map(({ name, value, place }) => [name, value, place]),
    [
      ['insecure-registry', '10.0.0.1', dropIn.path],
      ['registry-mirror', 'http://b:2', dropIn.path],
    ],
  );
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

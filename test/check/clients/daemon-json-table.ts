/** Owns mistakes in daemon.json: what hubcap says of each is held against what a real dockerd does with it. */

export interface DaemonJsonCase {
  text: string;
  /** of the finding; undefined where nothing is wrong */
  id: string | undefined;
  /** a part of its message or remedy */
  says?: RegExp;
  /** flags that dockerd is given beside the file */
  flags?: string[];
}

const mirrors = (...entries: unknown[]): string => JSON.stringify({ 'registry-mirrors': entries });
const insecure = (...entries: unknown[]): string => JSON.stringify({ 'insecure-registries': entries });
const both = (mirror: string, ...entries: string[]): string =>
  JSON.stringify({ 'registry-mirrors': [mirror], 'insecure-registries': entries });
const GOOD = 'http://127.0.0.1:5000';

export const daemonJsonCases: readonly DaemonJsonCase[] = [
  { text: mirrors(GOOD), id: undefined },
  { text: mirrors(`${GOOD}/`), id: undefined },
  { text: mirrors('HTTP://127.0.0.1:5000'), id: undefined },
  { text: mirrors('https://mirror.example'), id: undefined },
  { text: mirrors('http://[::1]:5000'), id: undefined },
  {
    text: mirrors('http://192.0.2.1:5000'),
    id: 'docker.build',
    says: /is for docker pull.*add "http:\/\/192/,
  },
  { text: both('http://192.0.2.1:5000', '192.0.2.1:5000'), id: undefined },
  { text: both('http://192.0.2.1:5000/', 'http://192.0.2.1:5000'), id: undefined },
  { text: both('http://[fd00::1]:5000', 'http://[fd00::1]:5000', '::1/128'), id: undefined },
  { text: both('http://mirror.example', '192.0.2.0/24'), id: undefined },
  { text: both('http://192.0.2.1:5000', '127.0.0.0/8', '192.0.2.1:5001'), id: 'docker.build' },
  { text: mirrors(GOOD, GOOD), id: undefined },
  { text: '{"registry-mirrors":[]}', id: undefined },
  { text: '{"registry-mirrors":null}', id: undefined },
  { text: '{}', id: undefined },
  { text: 'null', id: undefined },
  { text: insecure('10.0.0.1:5000', '10.0.0.0/8', 'registry.example', '2001:db8::/32'), id: undefined },
  { text: '{"log-opts":{"max-size":"10m"}}', id: undefined },
  // no JSON
  { text: `{"registry-mirrors":["${GOOD}",]}`, id: 'docker.json', says: /comma stands behind/ },
  {
    text: `{\n  "registry-mirrors": ["${GOOD}"],\n}\n`,
    id: 'docker.json',
    says: /line 2, column 48.*comma stands behind/,
  },
  { text: `// mirrors\n${mirrors(GOOD)}`, id: 'docker.json', says: /line 1, column 1: JSON has no comments/ },
  {
    text: `{\n  # mirrors\n  "registry-mirrors": ["${GOOD}"]\n}`,
    id: 'docker.json',
    says: /line 2, column 3: JSON has no comments/,
  },
  { text: `{"registry-mirrors": /* here */ ["${GOOD}"]}`, id: 'docker.json', says: /JSON has no comments/ },
  { text: `{'registry-mirrors':['${GOOD}']}`, id: 'docker.json', says: /single quotes/ },
  {
    text: `{“registry-mirrors”:["${GOOD}"]}`,
    id: 'docker.json',
    says: /line 1, column 2: it has typographic quotes/,
  },
  { text: `{"registry-mirrors":[“${GOOD}”]}`, id: 'docker.json', says: /typographic quotes/ },
  { text: `\ufeff${mirrors(GOOD)}`, id: 'docker.json', says: /byte order mark/ },
  { text: '', id: 'docker.json', says: /it is empty/ },
  { text: ' \n', id: 'docker.json', says: /it is empty/ },
  { text: `{"registry-mirrors":["${GOOD}"]`, id: 'docker.json', says: /a } is missing/ },
  {
    text: `{"registry-mirrors":["${GOOD}"]\n "debug":true}`,
    id: 'docker.json',
    says: /line 2, column 2: a comma is missing/,
  },
  { text: '{"debug":True}', id: 'docker.json', says: /no value of JSON/ },
  { text: '{debug:true}', id: 'docker.json', says: /no value of JSON|double quotes/ },
  { text: `{"registry-mirrors":["${GOOD}"]`.replace('"http', 'http'), id: 'docker.json' },
  { text: `{"registry-mirrors":["http://127.0.0.1\n:5000"]}`, id: 'docker.json' },
  { text: `{\u00a0"registry-mirrors":["${GOOD}"]}`, id: 'docker.json', says: /a space stands here/ },
  { text: `${mirrors(GOOD)} // mirrors`, id: 'docker.json', says: /newer Docker does not start/ },
  { text: `${mirrors(GOOD)}\n{}`, id: 'docker.json', says: /text follows behind the end/ },
  // JSON of another shape
  { text: '[]', id: 'docker.object' },
  { text: '"registry-mirrors"', id: 'docker.object' },
  { text: `{"registry-mirrors":"${GOOD}"}`, id: 'docker.mirrors.list', says: /write \["http:\/\/127/ },
  { text: '{"registry-mirrors":{"debug":true}}', id: 'docker.mirrors.list' },
  { text: mirrors(5), id: 'docker.mirrors.text' },
  { text: '{"insecure-registries":"10.0.0.1:5000"}', id: 'docker.insecure.list' },
  // names
  { text: `{"registry-mirror":["${GOOD}"]}`, id: 'docker.key', says: /the name of a flag/ },
  { text: '{"insecure-registry":["10.0.0.1:5000"]}', id: 'docker.key', says: /the name of a flag/ },
  { text: `{"mirrors":["${GOOD}"]}`, id: 'docker.key', says: /the key is "registry-mirrors"/ },
  { text: `{"registry_mirrors":["${GOOD}"]}`, id: 'docker.key', says: /the key is "registry-mirrors"/ },
  { text: `{"Registry-Mirrors":["${GOOD}"]}`, id: 'docker.key', says: /the key is "registry-mirrors"/ },
  { text: `{"registryMirrors":["${GOOD}"]}`, id: 'docker.key', says: /the key is "registry-mirrors"/ },
  { text: `{"regsitry-mirrors":["${GOOD}"]}`, id: 'docker.key', says: /the key is "registry-mirrors"/ },
  { text: `{"engine":{"registry-mirrors":["${GOOD}"]}}`, id: 'docker.place', says: /inside "engine"/ },
  // addresses
  { text: mirrors('127.0.0.1:5000'), id: 'docker.mirror.scheme', says: /write "http:\/\/127\.0\.0\.1:5000"/ },
  { text: mirrors('localhost:5000'), id: 'docker.mirror.scheme' },
  { text: mirrors('mirror.example'), id: 'docker.mirror.scheme' },
  { text: mirrors(''), id: 'docker.mirror.scheme' },
  { text: mirrors(null), id: 'docker.mirror.scheme' },
  { text: mirrors('http:127.0.0.1:5000'), id: 'docker.mirror.scheme' },
  { text: mirrors('ftp://127.0.0.1:5000'), id: 'docker.mirror.scheme', says: /the scheme "ftp"/ },
  { text: mirrors(`${GOOD}/v2`), id: 'docker.mirror.path', says: /older Docker does not start/ },
  { text: mirrors(`${GOOD}//`), id: 'docker.mirror.path' },
  { text: mirrors(`${GOOD}?ns=docker.io`), id: 'docker.mirror.query' },
  { text: mirrors(`${GOOD}#here`), id: 'docker.mirror.query' },
  { text: mirrors('http://someone:hunter2@127.0.0.1:5000'), id: 'docker.mirror.credentials' },
  { text: mirrors(`${GOOD} `), id: 'docker.mirror.space' },
  { text: mirrors(` ${GOOD}`), id: 'docker.mirror.space' },
  { text: mirrors('http://127.0.0.1:abc'), id: 'docker.mirror.port' },
  { text: mirrors('http://127.0.0.1:99999'), id: 'docker.mirror.port' },
  { text: mirrors('http://::1:5000'), id: 'docker.mirror.host' },
  { text: mirrors('http://'), id: 'docker.mirror.host' },
  { text: insecure('http://10.0.0.1:5000', 'https://registry.example'), id: undefined },
  { text: insecure('ftp://10.0.0.1:5000'), id: 'docker.insecure.scheme' },
  { text: insecure('10.0.0.1:5000/'), id: 'docker.insecure.path' },
  { text: insecure('10.0.0.1:5000/v2'), id: 'docker.insecure.path' },
  { text: insecure('10.0.0.1:abc'), id: 'docker.insecure.port' },
  { text: insecure(''), id: 'docker.insecure.host' },
  { text: insecure('-registry'), id: 'docker.insecure.host' },
  // flags beside the file
  {
    text: mirrors(GOOD),
    flags: [`--registry-mirror=${GOOD}`],
    id: 'docker.flags',
    says: /does not start with both/,
  },
  { text: '{"registry-mirrors":[]}', flags: ['--registry-mirror', GOOD], id: 'docker.flags' },
  { text: insecure(), flags: ['--insecure-registry=10.0.0.1'], id: 'docker.flags' },
  { text: insecure('10.0.0.1'), flags: [`--registry-mirror=${GOOD}`], id: undefined },
  { text: '{}', flags: ['--registry-mirror=127.0.0.1:5000'], id: 'docker.mirror.scheme' },
];

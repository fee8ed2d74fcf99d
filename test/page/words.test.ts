import t from 'tap';
import { addressFor, isLoopbackName, parseAddress, reachOf } from '../../page/client-address.ts';
import { lossWords } from '../../page/connection.ts';
import { FillRates } from '../../page/fill-rates.ts';
import {
  missedPart,
  missingWords,
  missWords,
  platformWords,
  referenceParts,
} from '../../page/image-words.ts';
import { countWords, offsetWithin } from '../../page/images.ts';
import {
  countOf,
  formatAgo,
  formatMoment,
  formatShare,
  formatSpan,
  listWords,
  shortDigest,
} from '../../page/words.ts';
import { imageOf } from './documents.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

t.test('a share is never rounded to nothing or to all', async (t) => {
  const said = [undefined, Number.NaN, 0, 0.00001, 0.5, 0.1234, 0.99999, 1, 1.2].map(formatShare);
  t.same(said, ['–', '–', '0 %', '0.1 %', '50 %', '12.3 %', '99.9 %', '100 %', '100 %']);
});

t.test('times in as many units as help', async (t) => {
  const spans = [
    -5,
    0,
    999,
    45 * SECOND,
    200 * SECOND,
    5 * HOUR + 10 * MINUTE + 3 * SECOND,
    52 * HOUR + 5 * MINUTE,
  ];
  t.same(spans.map(formatSpan), ['0s', '0s', '0s', '45s', '3m20s', '5h10m', '2d4h']);
  const agos = [-9 * SECOND, 1 * SECOND, 59 * SECOND, 200 * SECOND, 26 * HOUR];
  t.same(agos.map(formatAgo), ['just now', 'just now', '59s ago', '3m ago', '1d ago']);
  const now = Date.parse('2026-11-22T12:00:00Z');
  t.match(formatMoment(now - 5 * MINUTE, now), /^\d\d:55:00$/);
  t.match(formatMoment(now - 48 * HOUR, now), /^20 Nov, \d\d:00$/);
});

t.test('counts and lists as one says them', async (t) => {
  t.same(
    [countOf(1, 'image'), countOf(20_000, 'image'), countOf(0, 'entry', 'entries')],
    ['1 image', '20,000 images', '0 entries'],
  );
  t.same([listWords([]), listWords(['a']), listWords(['a', 'b', 'c'])], ['', 'a', 'a, b and c']);
  t.equal(shortDigest(`sha256:${'ab'.repeat(32)}`), 'sha256:abababababab');
  t.equal(shortDigest('what a digest is not'), 'what a digest is no', 'cut all the same');
});

t.test('references into name and tag', async (t) => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const cases: [string, string, string][] = [
    ['docker.io/library/alpine:3.20', 'docker.io/library/alpine', ':3.20'],
    ['localhost:5000/team/app:v1', 'localhost:5000/team/app', ':v1'],
    ['localhost:5000/team/app', 'localhost:5000/team/app', ''],
    [`ghcr.io/owner/app@${digest}`, 'ghcr.io/owner/app', ''],
  ];
  for (const [reference, name, tag] of cases) t.same(referenceParts(reference), { name, tag }, reference);
});

t.test('what there is of an image', async (t) => {
  const image = imageOf('docker.io/library/x:1', 1000, 0, {
    'linux/amd64': 1,
    'linux/arm64': 0.451,
    'linux/s390x': 0,
    'unknown/unknown': 0,
  });
  t.same(platformWords(image), { whole: ['linux/amd64'], parts: ['linux/arm64 (45.1 %)'], total: 3 });
  t.equal(missingWords(image), '1 of 3 platforms');
  t.equal(missingWords(imageOf('a', 10, 0)), undefined);
  t.equal(missingWords(imageOf('a', 10, 0, { '': 0.5 })), 'layers are missing');
  t.equal(
    missingWords(imageOf('a', 10, 0, { 'linux/amd64': 1, 'unknown/unknown': 0 })),
    'attestations are missing',
  );
});

t.test('why something was missed', async (t) => {
  t.equal(
    missWords({ reason: 'unavailable', cause: 'refused' }),
    'upstream could not be reached: connection refused',
  );
  t.equal(missWords({ reason: 'offline', cause: undefined }), 'hubcap was offline');
  t.equal(
    missWords({ reason: 'new', cause: 'newer' }),
    'new: newer',
    'what is not known yet is said as it is',
  );
  t.equal(missedPart({ kind: 'image', platform: 'linux/arm64' }), 'linux/arm64');
  t.equal(missedPart({ kind: 'image', platform: undefined }), undefined);
  t.match(missedPart({ kind: 'blob', platform: undefined }), /layer/);
});

t.test('how many images, and where in them', async (t) => {
  const images = Array.from({ length: 25 }, (_, i) => imageOf(`a:${i}`, 1, 0));
  const page = { isCounted: true, total: 1000, matching: 1000, isTruncated: false, images };
  const wish = { search: '', sort: 'name' as const, offset: 25, limit: 25 };
  t.equal(countWords(page, wish), '26 to 50 of 1,000 images');
  t.equal(countWords({ ...page, isTruncated: true }, wish), '26 to 50 of the first 1,000 images');
  t.equal(countWords({ ...page, isCounted: false, total: 60 }, wish), '26 to 50, counting');
  t.equal(
    countWords({ ...page, matching: 237 }, { ...wish, search: 'al' }),
    '26 to 50 of 237 that match, of 1,000 images',
  );
  t.equal(
    countWords({ ...page, matching: 25 }, { ...wish, offset: 0, search: 'al' }),
    '25 that match, of 1,000 images',
  );
  t.equal(
    countWords({ ...page, matching: 0, images: [] }, { ...wish, search: 'al' }),
    'none of 1,000 images matches',
  );
  t.equal(
    countWords({ ...page, total: 1, matching: 1, images: images.slice(0, 1) }, { ...wish, offset: 0 }),
    '1 image',
  );
  t.same(
    [offsetWithin(0, 0), offsetWithin(50, 51), offsetWithin(50, 50), offsetWithin(75, 3)],
    [0, 50, 25, 0],
  );
});

t.test('the address for clients is that of the page, with the port of the mirror', async (t) => {
  t.equal(addressFor('http://127.0.0.1:5000', 'mirror.example'), 'http://mirror.example:5000');
  t.equal(addressFor('http://0.0.0.0:5000', '10.0.0.7'), 'http://10.0.0.7:5000');
  t.equal(addressFor('http://[::]:5000', '[fe80::1]'), 'http://[fe80::1]:5000');
  t.equal(addressFor('https://127.0.0.1', 'localhost'), 'https://localhost');
  t.equal(addressFor(undefined, 'localhost'), undefined);
  t.equal(parseAddress(' mirror:5000 ')?.origin, 'http://mirror:5000');
  t.equal(parseAddress('HTTPS://mirror/')?.origin, 'https://mirror');
  for (const wrong of [
    '',
    'http://',
    'http://a b',
    'mirror/path',
    'user@mirror',
    'http://mirror?x',
    'mirror:99999',
  ])
    t.equal(parseAddress(wrong), undefined, wrong);
});

t.test('whether clients get there', async (t) => {
  for (const name of ['localhost', '127.0.0.1', '127.8.0.1', '[::1]', 'a.localhost'])
    t.ok(isLoopbackName(name), name);
  for (const name of ['127.0.0.1.example', 'localhost.example', '10.0.0.1'])
    t.notOk(isLoopbackName(name), name);
  const reach = (isLocalOnly: boolean, name: string) =>
    reachOf({ isLocalOnly, listen: 'http://127.0.0.1:5123' }, new URL(`http://${name}:5123`));
  t.match(reach(true, 'mirror.example'), { level: 'bad', text: /listen: 0\.0\.0\.0:5123/ });
  t.match(reach(true, 'localhost'), { level: 'good', text: /For clients on the machine of hubcap/ });
  t.match(reach(false, 'localhost'), { level: 'warn', text: /other machines/ });
  t.equal(reach(false, 'mirror.example'), undefined);
});

t.test('how fast downloads go', async (t) => {
  const rates = new FillRates();
  const fill = (bytes: number, digest = 'a', size: number | undefined = 1000) => ({
    digest,
    upstream: 'x',
    repository: 'y',
    size,
    bytes,
    readers: 1,
  });
  t.match(rates.rate([fill(0)], 0), [{ bytesPerS: undefined, leftMs: undefined }]);
  t.match(rates.rate([fill(100)], 1000), [{ bytesPerS: 100, leftMs: 9000 }]);
  t.match(
    rates.rate([fill(300)], 2000),
    [{ bytesPerS: 140, leftMs: 5000 }],
    'the newest look counts, and those before',
  );
  t.match(rates.rate([fill(300)], 2000), [{ bytesPerS: 140 }], 'twice at the same moment');
  t.match(rates.rate([fill(100)], 3000), [{ bytesPerS: 84 }], 'a download that began anew is not backwards');
  t.match(rates.rate([fill(500, 'b', undefined)], 4000), [{ bytesPerS: undefined, leftMs: undefined }]);
  t.match(rates.rate([fill(100)], 5000), [{ bytesPerS: undefined }], 'what had gone is forgotten');
});

t.test('why the daemon is not heard', async (t) => {
  t.equal(lossWords(new TypeError('Failed to fetch')), 'it cannot be reached');
  t.equal(lossWords(new Error('no answer in time')), 'it does not answer in time');
  t.equal(lossWords(new SyntaxError('Unexpected token')), 'its answer cannot be read');
});

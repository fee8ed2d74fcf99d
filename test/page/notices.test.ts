import t from 'tap';
import { noticesOf } from '../../page/notices.ts';
import { listenWords, overallOf, savedWords } from '../../page/overview.ts';
import { accountWords, endpointWords, upstreamWords } from '../../page/upstream-words.ts';
import type { PageStatus } from '../../src/admin/status.ts';
import { accountOf, endpointOf, statusOf, upstreamOf } from './documents.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
const later = new Date(now + 600_000).toISOString();
const earlier = new Date(now - 600_000).toISOString();
const down = endpointOf('https://a/', { state: 'down', reason: 'refused', message: 'a refuses' });
const slow = endpointOf('https://a/', { state: 'slow', reason: 'timeout', message: 'takes 4s' });
const told = (change: Partial<PageStatus>, notReady: string[] = []) =>
  noticesOf(statusOf(now, change), notReady, now);

t.test('nothing is said while all is well', async (t) => {
  t.same(told({}), []);
  t.same(overallOf([]), { level: 'good', text: 'serving' });
});

t.test('the disk', async (t) => {
  const { store } = statusOf(now);
  const [refuses] = told({ store: { ...store, isWritable: false }, directory: '/srv/my data' }, [
    'the disk refuses: ENOSPC',
  ]);
  t.match(refuses, { level: 'bad', title: /The disk refuses/, text: /ENOSPC.*without caching/ });
  t.match(refuses?.command, "df -h '/srv/my data'", 'as a shell takes it');
  t.match(told({}, ['the data directory is another one']), [
    { level: 'bad', title: 'hubcap is not ready', text: /^The data directory/ },
  ]);
  t.match(told({ store: { ...store, pins: 3, pinnedBytes: 2, maxBytes: 1 } }), [
    { level: 'warn', title: /pinned/ },
  ]);
});

t.test('who stops has no trouble with the disk', async (t) => {
  const notices = told({ isOffline: true }, ['stopping']);
  t.match(notices[0], { level: 'off', title: 'hubcap is stopping', command: undefined });
  t.notMatch(notices[0]?.text, /room|permissions|caching/);
  t.same(overallOf(notices), { level: 'off', text: 'stopping' });
});

t.test('where the mirror is', async (t) => {
  const words = (listen: string | undefined, isLocalOnly: boolean) => listenWords({ listen, isLocalOnly });
  t.same(words('http://127.0.0.1:5000', true), ['mirror at http://127.0.0.1:5000']);
  t.same(words('http://10.0.0.7:5000', false), ['mirror at http://10.0.0.7:5000']);
  t.same(words('http://127.0.0.1:5000', false), ['mirror on port 5000 of every address']);
  t.same(words(undefined, true), []);
});

t.test('offline is one notice, whatever the upstreams were before', async (t) => {
  const upstreams = [upstreamOf('a', { endpoints: [down] }), upstreamOf('b', { restingUntil: later })];
  t.match(told({ isOffline: true, upstreams }), [{ level: 'off', command: 'hubcap offline off' }]);
  t.same(overallOf(told({ isOffline: true })), { level: 'off', text: 'offline' });
});

t.test('many upstreams that are down are one trouble', async (t) => {
  const downs = (count: number) =>
    Array.from({ length: 12 }, (_, i) => upstreamOf(`${i}.test`, i < count ? { endpoints: [down] } : {}));
  t.equal(told({ upstreams: downs(3) }).length, 3);
  const [one, ...others] = told({ upstreams: downs(11) });
  t.same(others, []);
  t.match(one, { level: 'bad', title: '11 of 12 upstreams are down', text: /0\.test, .* and 10\.test:/ });
  const rejected = accountOf('bot', { rejectedUntil: later });
  const [, login] = told({ upstreams: downs(12).map((upstream) => ({ ...upstream, accounts: [rejected] })) });
  t.match(login?.title, /refuses a login: bot/, 'what else is wrong is told all the same');
});

t.test('upstreams that are not asked, with why and what it means', async (t) => {
  const words = (change: Parameters<typeof upstreamOf>[1]) =>
    upstreamWords(upstreamOf('a', change), false, now);
  t.match(words({}), { level: 'good', label: 'up', detail: undefined });
  t.match(words({ endpoints: [down] }), { level: 'bad', label: 'down' });
  t.match(words({ endpoints: [down, endpointOf('https://b/')] }), {
    level: 'warn',
    label: 'partly down',
    detail: /^1 of 2 addresses fails/,
  });
  t.match(words({ endpoints: [slow] }), { level: 'warn', label: 'slow' });
  t.match(words({ restingUntil: later }), { level: 'bad', label: 'resting', detail: /\(in 10m\)/ });
  t.match(words({ restingUntil: earlier }), { level: 'good' }, 'it has rested');
  const out = accountOf('x', { remaining: 0, restingUntil: later });
  t.match(words({ accounts: [out] }), { level: 'bad', label: 'no pulls left', detail: /in 10m/ });
  t.match(words({ accounts: [out, accountOf('y')] }), { level: 'good' }, 'another account pulls');
  t.match(told({ upstreams: [upstreamOf('a', { endpoints: [down] })] }), [
    {
      level: 'bad',
      title: 'a: down',
      text: /^It refuses connections \(a refuses\)\. What is here is served/,
    },
  ]);
});

t.test('why an address is not up', async (t) => {
  t.equal(endpointWords(endpointOf('https://a/')), undefined);
  t.equal(endpointWords(down), 'it refuses connections (a refuses)');
  t.equal(
    endpointWords(endpointOf('x', { state: 'down', reason: 'odd' })),
    'odd',
    'a reason that the page does not know',
  );
});

t.test('pulls that are left', async (t) => {
  const [plain] = accountWords(
    [accountOf('bot'), accountOf('anonymous', { limit: undefined, remaining: undefined })],
    now,
  );
  t.same(plain, {
    account: 'bot',
    left: { remaining: 163, limit: 200 },
    text: '163 of 200 pulls left per 6h',
    level: 'good',
  });
  t.match(accountWords([accountOf('bot', { remaining: 19 })], now), [{ level: 'warn' }]);
  t.match(accountWords([accountOf('bot', { rejectedUntil: later })], now), [
    { level: 'bad', text: /^login refused, tried again at/ },
  ]);
  t.match(accountWords([accountOf('bot', { limit: undefined, remaining: undefined })], now), [
    { left: undefined, text: 'pulls are not counted' },
  ]);
  t.match(told({ upstreams: [upstreamOf('a', { accounts: [accountOf('bot', { remaining: 3 })] })] }), [
    { level: 'warn', title: 'a: few pulls are left', text: /bot: 3/ },
  ]);
  t.match(
    told({
      upstreams: [
        upstreamOf('a', { accounts: [accountOf('bot', { rejectedUntil: later }), accountOf('b')] }),
      ],
    }),
    [{ level: 'warn', title: 'a refuses a login: bot', command: 'hubcap reload' }],
  );
});

t.test('settings that wait, schedules that failed; the worst is first', async (t) => {
  const images = { done: 1, failed: 2, total: 3 };
  const last = {
    startedAt: earlier,
    endedAt: earlier,
    result: 'failed' as const,
    images,
    fetchedBytes: 0,
    message: undefined,
  };
  const schedule = {
    list: '/l',
    everyS: 60,
    isPinning: false,
    state: 'waiting' as const,
    last,
    nextAt: later,
  };
  const found = told(
    {
      configuration: { loadedAt: earlier, needsRestart: ['listen', 'storage.directory'] },
      prewarm: [schedule, { ...schedule, list: '/m', last: { ...last, message: 'no such file' } }],
      upstreams: [upstreamOf('a', { endpoints: [down] })],
    },
    [],
  );
  t.match(found, [
    { level: 'bad', title: 'a: down' },
    {
      level: 'warn',
      title: '2 changed settings wait for a restart',
      text: /^Listen and storage\.directory\./,
    },
    { level: 'warn', title: 'Prewarm of /l failed', text: /2 of 3 images could not be fetched\.$/ },
    { level: 'warn', title: 'Prewarm of /m failed', text: /No such file\.$/ },
  ]);
  t.same(overallOf(found), { level: 'bad', text: '1 problem, 3 warnings' });
  t.equal(new Set(found.map(({ key }) => key)).size, found.length, 'each has a key of its own');
});

t.test('what is saved, also by who fetched much beforehand', async (t) => {
  const words = (savedShare: number | undefined, servedBytes: number, fetchedBytes: number) =>
    savedWords({ savedShare, servedBytes, fetchedBytes });
  t.equal(words(undefined, 0, 0), 'nothing served yet');
  t.equal(words(undefined, 0, 7), 'fetched, not served yet');
  t.equal(words(0, 5, 7), 'more was fetched than served');
  t.equal(words(0.5, 8, 4), '50 % of what was served');
});

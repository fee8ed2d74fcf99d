/** However a registry pages its tags, a client that asks for them gets all of them, once each, and in its order. */
import t, { type Test } from 'tap';
import { ociErrorOf, type Received } from '../helpers/client.ts';
import {
  allAtOnce,
  json,
  nextLink,
  nextOf,
  pagedByNames,
  pagedByTokens,
  pagesOf,
  tagLists,
} from '../helpers/lists.ts';
import { startMirror } from '../helpers/mirror.ts';
import type { Persona } from '../helpers/persona-server.ts';
import { failing, htmlWith200, silent } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const LIST = '/v2/team/app/tags/list';
const sorted = Array.from({ length: 25 }, (_, at) => `v${String(at).padStart(2, '0')}`);
const ownOrder = [...sorted.slice(10).reverse(), ...sorted.slice(0, 10)];

async function start(t: Test, persona: Persona, tagTtlMs = 60_000) {
  const registry = await startRegistry(t);
  registry.act(persona);
  const upstreams = { 'registry.test': { at: registry, tagTtlMs, retries: 0 } };
  return { registry, mirror: await startMirror(t, { upstreams }) };
}

const tagsOf = ({ body }: Received): string[] => JSON.parse(body.toString()).tags;

const dialects: [name: string, tags: readonly string[], persona: () => Persona][] = [
  ['all at once, whatever is asked', sorted, () => allAtOnce(sorted)],
  ['small pages by name', sorted, () => pagedByNames(sorted, 4)],
  ['tokens, as quay.io', ownOrder, () => pagedByTokens(ownOrder, 4, 'next_page')],
  ['tokens in the place of names, as ECR', ownOrder, () => pagedByTokens(ownOrder, 7, 'last')],
];

for (const [name, tags, persona] of dialects) {
  t.test(`a registry that answers with ${name}`, async (t) => {
    const { registry, mirror } = await start(t, persona());
    t.same(await pagesOf(mirror.get, LIST, 'tags'), [tags], 'all in one answer to who does not say how many');
    const asked = registry.asked.length;
    for (const n of [1, 10, 24, 25, 1000]) {
      const pages = await pagesOf(mirror.get, `${LIST}?n=${n}`, 'tags');
      t.same(pages.flat(), tags, `in pages of ${n}`);
      t.ok(pages.slice(0, -1).every((page) => page.length === n));
    }
    t.same(tagsOf(await mirror.get(`${LIST}?last=${tags[11]}`)), tags.slice(12));
    t.same(tagsOf(await mirror.get(`${LIST}?n=3&last=${tags[21]}`)), tags.slice(22));
    t.equal(nextOf(await mirror.get(`${LIST}?n=3&last=${tags[21]}`)), undefined);
    t.equal(registry.asked.length, asked, 'each of its pages is asked for once');
    for (const { path } of registry.asked) t.equal(path, LIST, 'whatever host and path it names');
  });

  t.test(`who begins in the middle, at a registry that answers with ${name}`, async (t) => {
    const { mirror } = await start(t, persona());
    const pages = await pagesOf(mirror.get, `${LIST}?n=6&last=${tags[8]}`, 'tags');
    t.same(pages.flat(), tags.slice(9));
  });
}

t.test('no more is asked for than a page needs, and who goes on goes on there', async (t) => {
  const { registry, mirror } = await start(t, pagedByTokens(ownOrder, 5, 'next_page'), 0);
  const first = await mirror.get(`${LIST}?n=5`);
  t.same(tagsOf(first), ownOrder.slice(0, 5));
  t.equal(registry.asked.length, 1);
  const second = await mirror.get(nextOf(first) ?? '');
  t.same(tagsOf(second), ownOrder.slice(5, 10), 'although a list is believed for no time at all');
  t.equal(registry.asked.length, 2);
});

t.test('names that come twice, names that are none, no names', async (t) => {
  const { registry, mirror } = await start(
    t,
    tagLists(({ query }) =>
      query.has('next_page')
        ? json({ tags: ['b', 'c', 'c'] })
        : json({ tags: ['a', 'b', '../../x', 7, null, 'x'.repeat(500)] }, nextLink('/?next_page=2')),
    ),
    0,
  );
  t.same(tagsOf(await mirror.get(LIST)), ['a', 'b', 'c']);
  registry.act(tagLists(() => json({ name: 'team/app', tags: null })));
  t.same(tagsOf(await mirror.get(LIST)), []);
});

t.test('a registry that leads in a circle', async (t) => {
  const circle: Persona = tagLists(({ query }) =>
    json({ tags: ['a', 'b'] }, nextLink(`?page=${query.get('page') === '1' ? '2' : '1'}`)),
  );
  const { registry, mirror } = await start(t, circle);
  const pages = await pagesOf(mirror.get, LIST, 'tags');
  t.same(pages.flat(), ['a', 'b']);
  t.ok(registry.asked.length < 6);
  registry.act(tagLists(() => json({ tags: ['a'] }, nextLink('?n=1000'))));
  t.same((await pagesOf(mirror.get, '/v2/team/other/tags/list', 'tags')).flat(), ['a']);
});

t.test('a list without end is given in parts that go on', async (t) => {
  const endless = tagLists(({ query }) => {
    const from = Number(query.get('page') ?? 0);
    return json({ tags: [`t${from}`] }, nextLink(`?page=${from + 1}`));
  });
  const { registry, mirror } = await start(t, endless);
  const first = await mirror.get(LIST);
  t.equal(tagsOf(first).length, 100, 'one answer is made of so many pages');
  t.equal(registry.asked.length, 100);
  t.equal(nextOf(first), `${LIST}?last=t99`);
  t.equal(tagsOf(await mirror.get(nextOf(first) ?? ''))[0], 't100');
});

t.test('a page of none, one that is larger than allowed, and none that makes sense', async (t) => {
  const many = Array.from({ length: 10_050 }, (_, at) => `t${at}`);
  const { registry, mirror } = await start(t, allAtOnce(many));
  const none = await mirror.get(`${LIST}?n=0`);
  t.same([none.status, tagsOf(none), nextOf(none)], [200, [], undefined]);
  const large = await mirror.get(`${LIST}?n=999999999`);
  t.equal(tagsOf(large).length, 10_000);
  t.same((await pagesOf(mirror.get, `${LIST}?n=999999999`, 'tags')).flat(), many);
  t.same((await pagesOf(mirror.get, LIST, 'tags')).flat(), many);
  t.equal(registry.asked.length, 1);
  t.equal((await mirror.get(`${LIST}?n=-1`)).status, 400);
  registry.act();
  t.equal((await mirror.get('/v2/team/unknown/tags/list?n=0')).status, 404, 'of nothing there is no page');
});

t.test('more tags than are remembered at once', async (t) => {
  const many = Array.from({ length: 60_000 }, (_, at) => `t${(at * 7919) % 60_000}`);
  const { registry, mirror } = await start(t, pagedByTokens(many, 7000, 'next_page'));
  const pages = await pagesOf(mirror.get, LIST, 'tags');
  t.ok(pages.every((page) => page.length <= 10_000));
  t.strictSame(pages.flat(), many);
  t.equal(registry.asked.length, 9, 'each page once');
});

t.test('where the list goes on is longer than a request can be', async (t) => {
  const persona = tagLists(() => json({ tags: ['a'] }, nextLink(`?page=${'x'.repeat(5000)}`)));
  const { mirror } = await start(t, persona);
  t.equal((await mirror.get(LIST)).status, 502, 'what cannot be followed is no end');
});

t.test('what is gone upstream is not remembered', async (t) => {
  const { registry, mirror } = await start(t, allAtOnce(['a']), 0);
  await mirror.get(LIST);
  registry.act(failing(404));
  t.equal((await mirror.get(LIST)).status, 404);
  registry.act(failing(503));
  t.equal((await mirror.get(`${LIST}?n=1`)).status, 404, 'the answer that holds for a while');
});

t.test('after a tag that is gone', async (t) => {
  const { mirror, registry } = await start(t, allAtOnce(['a', 'c', 'e']));
  await mirror.get(LIST);
  t.same(tagsOf(await mirror.get(`${LIST}?last=b`)), ['c', 'e']);
  t.same(tagsOf(await mirror.get(`${LIST}?last=z`)), []);
  t.equal(registry.asked.length, 1);
  t.same(tagsOf(await mirror.get('/v2/team/other/tags/list?last=b')), ['c', 'e'], 'nothing known before');
});

t.test('a registry that refuses large pages', async (t) => {
  const { mirror } = await start(
    t,
    tagLists(({ query }) => (query.has('n') ? { status: 400 } : json({ tags: ['a', 'b'] }))),
  );
  t.same(tagsOf(await mirror.get(LIST)), ['a', 'b']);
});

t.test('many who ask at once are one question', async (t) => {
  const { registry, mirror } = await start(t, pagedByTokens(ownOrder, 5, 'next_page'));
  const answers = await Promise.all(Array.from({ length: 20 }, () => mirror.get(LIST)));
  for (const answer of answers) t.same(tagsOf(answer), ownOrder);
  t.equal(registry.asked.length, 5);
});

t.test('404 is absence; all else is trouble', async (t) => {
  const { registry, mirror } = await start(t, failing(503), 0);
  t.equal((await mirror.get(LIST)).status, 502);
  registry.act(htmlWith200());
  t.equal((await mirror.get(LIST)).status, 502);
  registry.act(failing(429, { 'retry-after': '1' }));
  const limited = await mirror.get('/v2/team/limited/tags/list');
  t.same([limited.status, limited.headers['retry-after']], [429, '1']);
  const other = await start(t, failing(404));
  const absent = await other.mirror.get(LIST);
  t.same([absent.status, ociErrorOf(absent).code], [404, 'NAME_UNKNOWN']);
  await other.mirror.get(LIST);
  t.equal(other.registry.asked.length, 1, 'remembered for a while');
});

t.test('a page in the middle that cannot be had is no end of the list', async (t) => {
  let isDown = false;
  const { mirror } = await start(
    t,
    tagLists(({ query }) => {
      if (!query.has('page')) return json({ tags: ['a', 'b'] }, nextLink('?page=2'));
      return isDown ? { status: 503 } : json({ tags: ['c'] });
    }),
    0,
  );
  isDown = true;
  t.equal((await mirror.get(LIST)).status, 502);
  const part = await mirror.get(LIST);
  t.same([tagsOf(part), nextOf(part)], [['a', 'b'], `${LIST}?last=b`], 'what is known, and where it goes on');
  t.equal(part.headers['cache-status'], 'hubcap; fwd=stale; fwd-status=503');
  t.equal((await mirror.get(`${LIST}?last=b`)).status, 502);
  isDown = false;
  t.same(tagsOf(await mirror.get(`${LIST}?last=b`)), ['c']);
});

t.test('a silent upstream: what is known is waited for once, and not again for a while', async (t) => {
  const registry = await startRegistry(t);
  registry.act(allAtOnce(['a', 'b']));
  const at = { at: registry, tagTtlMs: 0, retries: 0, timeouts: { confirmMs: 200, probeMs: 0 } };
  const mirror = await startMirror(t, { upstreams: { 'registry.test': at } });
  await mirror.get(LIST);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(silent(gate.opened));
  const answers = await Promise.all(Array.from({ length: 10 }, () => mirror.get(LIST)));
  answers.push(await mirror.get(LIST));
  for (const answer of answers) {
    t.same([answer.status, tagsOf(answer)], [200, ['a', 'b']]);
    t.equal(answer.headers['cache-status'], 'hubcap; fwd=stale');
    t.match(answer.headers.warning, '299');
  }
  t.equal(registry.asked.length, 2, 'one question for all of them');
});

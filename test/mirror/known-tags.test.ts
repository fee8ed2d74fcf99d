import t, { type Test } from 'tap';
import { KnownTags } from '../../src/mirror/known-tags.ts';
import type { MirroredUpstream } from '../../src/mirror/mirrored-upstream.ts';
import type { Place } from '../../src/mirror/place.ts';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { parseRepository, parseTag } from '../../src/oci/reference.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { type Clock, makeClock } from '../helpers/clock.ts';

const [one, two] = [digestOf('one'), digestOf('two')];

function start(t: Test) {
  const clock = makeClock();
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const tags = new KnownTags(new Catalog(database, (error) => t.fail('the catalog', { error })), clock.now);
  const [repository, tag] = [parseRepository('team/app'), parseTag('latest')];
  if (!repository || !tag) throw new Error('these are names');
  const place: Place = { upstream: { host: 'registry.test' } as MirroredUpstream, repository };
  return { clock, tags, place, tag };
}

const said = (digest: Digest, { now }: Clock) => ({
  digest,
  mediaType: 'any',
  size: 1,
  checkedAtMs: now(),
});

t.test('a word that was overtaken by another one changes nothing', async (t) => {
  const { clock, tags, place, tag } = start(t);
  const slow = said(one, clock);
  clock.pass(1);
  tags.learn(place, tag, said(two, clock));
  tags.learn(place, tag, slow);
  t.equal(tags.get(place, tag)?.digest, two);
});

t.test('a clock that was set back does not keep a word for ever', async (t) => {
  const { clock, tags, place, tag } = start(t);
  tags.learn(place, tag, said(one, clock));
  clock.pass(-3_600_000);
  tags.learn(place, tag, said(two, clock));
  t.equal(tags.get(place, tag)?.digest, two);
});

t.test('a tag is contested, and paused, until upstream has said something', async (t) => {
  const { clock, tags, place, tag } = start(t);
  tags.contest(place, tag);
  t.equal(tags.get(place, tag), undefined, 'what is not known is not contested');
  const known = said(one, clock);
  tags.learn(place, tag, known);
  tags.contest(place, tag);
  t.match(tags.get(place, tag), { digest: one, isContested: true });
  tags.pause(place, tag, known, 'kept', 10);
  t.match(tags.get(place, tag), { pause: { as: 'kept', untilMs: clock.now() + 10 } });
  tags.learn(place, tag, said(one, clock));
  t.same(tags.get(place, tag), known);
});

t.test('a manifest is awaited for as long as its tag is that', async (t) => {
  const { clock, tags, place, tag } = start(t);
  tags.learn(place, tag, said(one, clock));
  tags.awaitManifest(place, tag, one);
  t.equal(tags.awaiting(place, one), tag);
  tags.learn(place, tag, said(two, clock));
  t.equal(tags.awaiting(place, one), undefined);
  tags.forgetDigest(place, one);
  t.equal(tags.get(place, tag)?.digest, two);
  tags.forgetDigest(place, two);
  t.equal(tags.get(place, tag), undefined);
});

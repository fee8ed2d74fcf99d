import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import { OCI_MANIFEST } from '../../src/oci/media-types.ts';
import type { Repository, Tag } from '../../src/oci/reference.ts';
import { Catalog, type ImageRow } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';

const digest = digestOf('manifest');
const repository = { upstream: 'docker.io', name: 'library/app' as Repository };

/** More than fits into one page of the catalog. */
const TAGS = 10_003;

t.test('two who list the images at the same time get all of them each', (t) => {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const catalog = new Catalog(database, (error) => {
    throw error;
  });
  new ContentIndex(database).add({ digest, size: 10 }, 1);
  catalog.addManifest(digest, { mediaType: OCI_MANIFEST, isIndex: false, children: [] });
  const state = { digest, mediaType: OCI_MANIFEST, size: 10, checkedAtMs: 5 };
  const expected = Array.from({ length: TAGS }, (_, n) => `v${String(n).padStart(5, '0')}`);
  for (const tag of expected) catalog.setTag(repository, tag as Tag, state);

  const lists = [catalog.images(), catalog.images()];
  const found: ImageRow[][] = [[], []];
  for (let isOver = false; !isOver; ) {
    isOver = true;
    lists.forEach((list, position) => {
      const { value, done } = list.next();
      if (done) return;
      found[position]?.push(value);
      isOver = false;
    });
  }
  for (const rows of found) {
    t.same(
      rows.map(({ tag }) => tag),
      expected,
    );
  }
  const [first, ...others] = [catalog.images().next().value, ...catalog.images()];
  t.same([first?.tag, others.length], [expected[0], TAGS], 'one that is left in the middle holds nothing up');
  catalog.deleteTag(repository, (expected[0] ?? '') as Tag);
  t.equal([...catalog.images()].length, TAGS - 1);
  t.end();
});

t.test('images without a tag, and repositories, are listed over any number of pages', (t) => {
  const { database } = openCatalogFile(':memory:');
  t.teardown(() => database.close());
  const catalog = new Catalog(database, (error) => {
    throw error;
  });
  const content = new ContentIndex(database);
  const hold = (name: string, text: string, isManifest: boolean): string => {
    const held = digestOf(text);
    content.add({ digest: held, size: 10 }, 1);
    if (isManifest) catalog.addManifest(held, { mediaType: OCI_MANIFEST, isIndex: false, children: [] });
    catalog.grant({ ...repository, name: name as Repository }, held, 1);
    return `${name}@${held}`;
  };
  const expected: string[] = [];
  for (let at = 0; at < 1_700; at++) {
    hold('library/app', `blob ${at}`, false);
    if (at % 3 === 0) expected.push(hold('library/app', `manifest ${at}`, true));
    if (at % 2 === 0) expected.push(hold(`owner/app-${at}`, `manifest of ${at}`, true));
    else hold(`owner/app-${at}`, `blob of ${at}`, false);
  }
  const found = [...catalog.images()].map((row) => `${row.repository}@${row.digest}`);
  t.same(found.sort(), expected.sort());
  t.end();
});

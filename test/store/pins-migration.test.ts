/** A catalog of before there were pins goes on: its content is there, nothing of it is pinned, and pins can be made. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { digestOf } from '../../src/oci/digest.ts';
import type { Repository } from '../../src/oci/reference.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { MIGRATIONS } from '../../src/store/migrations.ts';
import { Pins } from '../../src/store/pins.ts';

for (const isMidway of [false, true]) {
  t.test(isMidway ? 'after an end that was none' : 'after an end in order', async (t) => {
    const file = join(t.testdir(), 'catalog.db');
    const { database: old } = openCatalogFile(file, MIGRATIONS.slice(0, 2));
    const contents = Array.from({ length: 300 }, (_, n) => ({ digest: digestOf(String(n)), size: 5000 + n }));
    const insert = old.prepare('INSERT INTO blobs (digest, size, last_used) VALUES (?, ?, ?)');
    for (const [n, { digest, size }] of contents.entries()) insert.run(digest, size, n);
    if (!isMidway) old.exec('PRAGMA application_id = 0x68756263');
    old.close();
    const { database, setAside } = openCatalogFile(file);
    t.teardown(() => database.close());
    t.equal(setAside, undefined, 'it is no damage');
    t.equal(database.prepare('PRAGMA quick_check').get()?.quick_check, 'ok');
    const index = new ContentIndex(database);
    t.equal(index.pinnedBytes, 0);
    t.same(index.leastRecentlyUsed(1000), contents);
    const pins = new Pins({ database, index, maxBytes: () => 1e9, now: () => 1 });
    const [one] = contents;
    if (!one) throw new Error('no content');
    const repository = { upstream: 'docker.io', name: 'library/app' as Repository };
    const wish = { repository, reference: '1', origin: '', platforms: [], withReferrers: false };
    pins.set(wish, one.digest, [one]);
    t.equal(index.pinnedBytes, 8192);
    t.same(index.leastRecentlyUsed(1000), contents.slice(1));
    const other = new DatabaseSync(file, { readOnly: true });
    t.equal(other.prepare('SELECT count(*) AS pins FROM pins').get()?.pins, 1);
    other.close();
  });
}

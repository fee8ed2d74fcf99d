import { existsSync, readFileSync } from 'node:fs';
import { mkdir, open, readdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { type Digest, digestOf } from '../../src/oci/digest.ts';
import { CatalogTooNewError, openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { openDataDirectory } from '../../src/store/data-directory.ts';
import { writeDown } from './rig.ts';

function fileIn(t: { testdir(): string }): string {
  return join(t.testdir(), 'catalog.db');
}

/** Makes a catalog with so many rows that it has many pages. */
function fillCatalog(file: string, rows = 5000): void {
  const { database } = openCatalogFile(file);
  const index = new ContentIndex(database);
  database.exec('BEGIN');
  for (let row = 0; row < rows; row++) index.add({ digest: digestOf(String(row)), size: row }, row);
  database.exec('COMMIT');
  database.close();
}

async function damage(file: string, from: number, bytes: number): Promise<void> {
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(bytes, 0xa5), 0, bytes, from);
  await handle.close();
}

t.test('made, and opened again as it was', async (t) => {
  const file = fileIn(t);
  fillCatalog(file, 3);
  const { database, setAside } = openCatalogFile(file);
  t.equal(setAside, undefined);
  t.equal(new ContentIndex(database).sizeOf(digestOf('2')), 2);
  t.equal(database.prepare('PRAGMA journal_mode').get()?.journal_mode, 'wal');
  database.close();
});

t.test('an empty file is a new catalog', async (t) => {
  const file = fileIn(t);
  await writeFile(file, '');
  const { database, setAside } = openCatalogFile(file);
  t.equal(setAside, undefined);
  database.close();
});

t.test('a damaged one is set aside, and an empty one takes its place', async (t) => {
  const file = fileIn(t);
  const text = 'this is no database. '.repeat(1000);
  await writeFile(file, text);
  const { database, setAside } = openCatalogFile(file);
  t.equal(readFileSync(setAside ?? '', 'utf8'), text, 'nothing of it is lost');
  t.equal(new ContentIndex(database).sizeOf(digestOf('2')), undefined);
  database.close();
});

t.test('so is one with a damaged head', async (t) => {
  const file = fileIn(t);
  fillCatalog(file);
  await damage(file, 0, 4096);
  const { database, setAside } = openCatalogFile(file);
  t.ok(setAside && existsSync(setAside));
  database.close();
});

t.test('a newer one is refused and stays as it is', async (t) => {
  for (const mode of ['wal', 'delete']) {
    const file = join(t.testdir({}), `${mode}.db`);
    const newer = new DatabaseSync(file);
    newer.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE things (a); PRAGMA user_version = 2`);
    newer.close();
    const before = readFileSync(file);
    t.throws(() => openCatalogFile(file), CatalogTooNewError);
    t.throws(() => openCatalogFile(file), { message: /layout 2.*newer hubcap/ });
    t.ok(readFileSync(file).equals(before), `${mode}: not a byte changed`);
  }
});

t.test('a file system that refuses is no damage', async (t) => {
  const file = fileIn(t);
  await mkdir(file);
  t.throws(() => openCatalogFile(file), { message: /unable to open/ });
  t.throws(() => openCatalogFile(join(file, 'missing', 'catalog.db')), { message: /unable to open/ });
});

t.test('a data directory opens whatever happened to its catalog', async (t) => {
  const damages: [what: string, spoil: (file: string) => Promise<void>][] = [
    ['its first page', async (file) => await damage(file, 0, 4096)],
    ['its schema', async (file) => await damage(file, 100, 3000)],
    ['a page in the middle', async (file) => await damage(file, 20 * 4096, 4096)],
    ['all pages but the first', async (file) => await damage(file, 4096, 100 * 4096)],
    ['its tables', async (file) => new DatabaseSync(file).exec('DROP TABLE blobs')],
    ['its end', async (file) => await truncate(file, 10 * 4096)],
  ];
  for (const [at, [what, spoil]] of damages.entries()) {
    const directory = join(t.testdir({}), String(at));
    await mkdir(join(directory, 'v1'), { recursive: true });
    const file = join(directory, 'v1', 'catalog.db');
    fillCatalog(file);
    await spoil(file);
    const options = { directory, maxBytes: 1e9, minFreeBytes: 0, observer: writeDown([]), now: () => 1 };
    const opened = await openDataDirectory(options).catch((error: unknown) => String(error));
    if (typeof opened === 'string') {
      t.fail(`${what}: ${opened}`);
      continue;
    }
    t.ok(opened.setAside, `${what}: set aside`);
    t.equal(await opened.store.put(digestOf('new'), Buffer.from('new')), true, `${what}: and works`);
    t.equal(opened.store.sizeOf(digestOf('new') as Digest), 3);
    opened.close();
    t.ok((await readdir(join(directory, 'v1'))).some((name) => name.includes('damaged')));
  }
});

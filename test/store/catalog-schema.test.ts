import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, open, readdir, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
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
    newer.exec(`PRAGMA journal_mode = ${mode}; CREATE TABLE things (a); PRAGMA user_version = 99`);
    newer.close();
    const before = readFileSync(file);
    t.throws(() => openCatalogFile(file), CatalogTooNewError);
    t.throws(() => openCatalogFile(file), { message: /layout 99.*newer hubcap/ });
    t.ok(readFileSync(file).equals(before), `${mode}: not a byte changed`);
  }
});

t.test('a file system that refuses is no damage', async (t) => {
  const file = fileIn(t);
  t.throws(() => openCatalogFile(join(file, 'missing', 'catalog.db')), { message: /unable to open/ });
});

t.test('a catalog that is damaged again and again does not fill the disk', async (t) => {
  const file = fileIn(t);
  const asides: string[] = [];
  for (let time = 0; time < 6; time++) {
    await writeFile(file, 'this is no database. '.repeat(1000));
    const { database, setAside } = openCatalogFile(file);
    database.close();
    asides.push(basename(setAside ?? ''));
  }
  const left = (await readdir(dirname(file))).filter((name) => name.includes('damaged'));
  t.same(left.sort(), [...new Set(asides)].slice(-3).sort(), 'the last ones are kept');
});

t.test('a directory in its place is set aside', async (t) => {
  const file = fileIn(t);
  await mkdir(join(file, 'with', 'things'), { recursive: true });
  const { database, setAside } = openCatalogFile(file);
  t.ok(setAside && existsSync(join(setAside, 'with', 'things')));
  database.close();
});

t.test('what was committed and not yet in the file is read; what is cut off from it is not', async (t) => {
  for (const [cut, least, most] of [
    [0, 3, 3],
    [100, 2, 3],
    [4000, 0, 2],
    [1_000_000, 0, 0],
  ] as const) {
    const file = join(t.testdir({}), `${cut}.db`);
    const { database } = openCatalogFile(file);
    const index = new ContentIndex(database);
    for (const text of ['a', 'b', 'c']) index.add({ digest: digestOf(text), size: 1 }, 1);
    const copy = `${file}-copy.db`;
    await copyFile(file, copy);
    const wal = readFileSync(`${file}-wal`);
    await writeFile(`${copy}-wal`, wal.subarray(0, Math.max(0, wal.length - cut)));
    database.close();
    const opened = openCatalogFile(copy);
    const { objects } = new ContentIndex(opened.database).totals(1);
    t.ok(objects >= least && objects <= most, `${cut}: ${objects}`);
    new ContentIndex(opened.database).add({ digest: digestOf('d'), size: 1 }, 1);
    opened.database.close();
  }
});

t.test('a log of changes without its catalog is no obstacle', async (t) => {
  const file = fileIn(t);
  await writeFile(`${file}-wal`, Buffer.alloc(10_000, 0xa5));
  await writeFile(`${file}-shm`, Buffer.alloc(32_768, 0xa5));
  const { database } = openCatalogFile(file);
  new ContentIndex(database).add({ digest: digestOf('d'), size: 1 }, 1);
  database.close();
});

t.test('a data directory opens whatever happened to its catalog', async (t) => {
  const damages: [what: string, spoil: (file: string) => Promise<void>][] = [
    ['its first page', async (file) => await damage(file, 0, 4096)],
    ['its schema', async (file) => await damage(file, 100, 3000)],
    ['a page in the middle', async (file) => await damage(file, 20 * 4096, 4096)],
    ['all pages but the first', async (file) => await damage(file, 4096, 100 * 4096)],
    ['its tables', async (file) => new DatabaseSync(file).exec('DROP TABLE blobs')],
    ['all of it: random bytes', async (file) => await writeFile(file, randomBytes(100_000))],
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

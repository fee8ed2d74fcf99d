import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t from 'tap';
import { CatalogTooNewError, openCatalogFile } from '../../src/store/catalog-schema.ts';
import { MIGRATIONS, migrate, versionOf } from '../../src/store/migrations.ts';

const FIRST = 'CREATE TABLE things (name TEXT PRIMARY KEY);';
const SECOND = 'ALTER TABLE things ADD COLUMN size INTEGER; UPDATE things SET size = length(name);';
const THIRD = 'CREATE INDEX things_by_size ON things (size);';
const BROKEN = 'ALTER TABLE things ADD COLUMN colour TEXT; INSERT INTO nowhere VALUES (1);';

function namesIn(database: DatabaseSync): unknown[] {
  return database
    .prepare('SELECT * FROM things ORDER BY name')
    .all()
    .map((row) => ({ ...row }));
}

t.test('the current version is 3', async (t) => {
  const database = new DatabaseSync(':memory:');
  migrate(database, MIGRATIONS);
  t.equal(versionOf(database), 3);
  database.close();
});

t.test('each version goes to the next, with what is in it', async (t) => {
  const database = new DatabaseSync(':memory:');
  migrate(database, [FIRST]);
  database.exec("INSERT INTO things VALUES ('one'), ('three')");
  migrate(database, [FIRST, SECOND, THIRD]);
  t.equal(versionOf(database), 3);
  t.same(namesIn(database), [
    { name: 'one', size: 3 },
    { name: 'three', size: 5 },
  ]);
  migrate(database, [FIRST, SECOND, THIRD]);
  t.equal(versionOf(database), 3, 'and stays there');
  database.close();
});

t.test('a step that fails is undone; those before it count', async (t) => {
  const database = new DatabaseSync(':memory:');
  migrate(database, [FIRST]);
  database.exec("INSERT INTO things VALUES ('one')");
  t.throws(() => migrate(database, [FIRST, SECOND, BROKEN, THIRD]));
  t.equal(versionOf(database), 2);
  t.same(namesIn(database), [{ name: 'one', size: 3 }]);
  t.notOk(database.isTransaction);
  migrate(database, [FIRST, SECOND, THIRD]);
  t.equal(versionOf(database), 3, 'and a mended one goes on from there');
  database.close();
});

t.test('an older file is migrated when it is opened, after any end', async (t) => {
  for (const isClean of [true, false]) {
    const file = join(t.testdir({}), `${isClean}.db`);
    const { database } = openCatalogFile(file, [FIRST]);
    database.exec("INSERT INTO things VALUES ('one')");
    if (isClean) database.exec(`PRAGMA application_id = ${0x68756263}`);
    database.close();
    const { database: migrated, setAside } = openCatalogFile(file, [FIRST, SECOND, THIRD]);
    t.equal(setAside, undefined);
    t.same(namesIn(migrated), [{ name: 'one', size: 3 }]);
    migrated.close();
    t.throws(() => openCatalogFile(file, [FIRST]), CatalogTooNewError);
  }
});

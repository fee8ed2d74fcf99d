/** Builds a store on a fresh directory, with what it tells written down. */
import type { DatabaseSync } from 'node:sqlite';
import { Catalog } from '../../src/store/catalog.ts';
import { openCatalogFile } from '../../src/store/catalog-schema.ts';
import { ContentIndex } from '../../src/store/content-index.ts';
import { DiskStore, type StoreObserver } from '../../src/store/disk-store.ts';
import { Fills } from '../../src/store/fills.ts';
import { Layout } from '../../src/store/layout.ts';

export interface Rig {
  layout: Layout;
  database: DatabaseSync;
  index: ContentIndex;
  catalog: Catalog;
  store: DiskStore;
  fills: Fills;
  /** `removed budget`, `fill stored`, `storage failed`, `storage works`, in order */
  told: string[];
  clock: { nowMs: number };
}

export interface RigOptions {
  maxBytes?: number;
  minFreeBytes?: number;
  /** a file instead of memory, where the test opens it again */
  isOnDisk?: boolean;
}

interface TestLike {
  testdir(): string;
  teardown(work: () => void): unknown;
}

export const MIB = 1024 * 1024;

/** @param directory of an earlier rig, to open it again as a new process would */
export async function openRig(
  t: TestLike,
  { maxBytes = 1024 * MIB, minFreeBytes = 0, isOnDisk = false }: RigOptions = {},
  directory = t.testdir(),
): Promise<Rig> {
  const layout = new Layout(directory);
  await layout.create();
  const { database } = openCatalogFile(isOnDisk ? layout.catalog : ':memory:');
  t.teardown(() => {
    if (database.isOpen) database.close();
  });
  const told: string[] = [];
  const clock = { nowMs: 1_000 };
  const observer = writeDown(told);
  const index = new ContentIndex(database);
  const now = (): number => clock.nowMs;
  const store = new DiskStore({ layout, index, maxBytes, minFreeBytes, observer, now });
  const fills = new Fills({ store, layout, observer, now });
  return { layout, database, index, catalog: new Catalog(database, rethrow), store, fills, told, clock };
}

export function writeDown(told: string[]): StoreObserver {
  return {
    removed: (reason) => told.push(`removed ${reason}`),
    found: ({ what }) => told.push(`found ${what}`),
    fillEnded: (result) => told.push(`fill ${result}`),
    discarded: () => told.push('discarded'),
    storageFailed: () => told.push('storage failed'),
    storageWorks: () => told.push('storage works'),
  };
}

/** Lets everything happen that needs no more than some turns of the event loop: for "it still waits". */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Whether a promise has not settled after some turns. */
export async function isWaiting(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await turns();
  return !isSettled;
}

function rethrow(error: unknown): never {
  throw error;
}

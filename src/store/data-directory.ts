/** Owns the opening and closing of a data directory: lock, catalog, store, fills, in that order. */
import { statfs } from 'node:fs/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { keepBallast, withBallast } from './ballast.ts';
import { Catalog } from './catalog.ts';
import { markClean, openCatalogFile, putBack } from './catalog-schema.ts';
import { ContentIndex } from './content-index.ts';
import { DiskStore, type StoreObserver } from './disk-store.ts';
import { StorageError } from './errors.ts';
import { Fills } from './fills.ts';
import { Intake } from './intake.ts';
import { Layout } from './layout.ts';
import { lockDirectory } from './lock.ts';
import { MIGRATIONS } from './migrations.ts';
import { Misses } from './misses.ts';
import type { Partial } from './partials.ts';
import { Pins } from './pins.ts';
import { forgetLost, markLost, PinsCopy, restoreLost, type SavedPin } from './pins-copy.ts';
import { Possession } from './possession.ts';
import { type ReconcileReport, reconcile } from './reconcile.ts';
import { type ScrubOptions, scrub } from './scrub.ts';

/** Lines of the miss list that are written in one transaction: some milliseconds. */
const MISSES_AT_ONCE = 500;

export interface StoreBudget {
  /** the byte budget, or a share (0 … 1) of the file system that holds the directory */
  maxBytes: number | { share: number };
  minFreeBytes: number;
}

export interface DataDirectoryOptions extends StoreBudget {
  /** absolute */
  directory: string;
  observer: StoreObserver;
  now: () => number;
}

export interface DataDirectory {
  layout: Layout;
  index: ContentIndex;
  catalog: Catalog;
  store: DiskStore;
  fills: Fills;
  misses: Misses;
  pins: Pins;
  intake: Intake;
  /** partial files of an earlier process that are worth going on with */
  partials: Partial[];
  /** where a damaged catalog was put, if it was */
  setAside: string | undefined;
  /** pins that a lost catalog had: their content is kept, their names are to be given again */
  unnamedPins: SavedPin[];
  /** how many of them could not be read */
  damagedPins: number;
  /** They have their names again: the next start does not ask for it. @throws what the file system says */
  named(): void;
  /** Writes a copy of the pins where they have changed. @throws StorageError */
  copyPins(): Promise<void>;
  /** what is wrong when somebody has removed or replaced the directory; undefined while it is ours */
  lost(): Promise<string | undefined>;
  /** Writes what is kept in memory, in steps that hold nobody up. */
  flush(): Promise<void>;
  reconcile(signal: AbortSignal): Promise<ReconcileReport>;
  /** @returns what gives the store another budget, once it is known how large a share of the file system is */
  resize(budget: StoreBudget): Promise<() => void>;
  /** Hashes what is stored again and again until it is told to stop. */
  scrub(options: ScrubOptions): Promise<void>;
  /** Ends the exclusive use; nothing of the directory may be used afterwards. */
  close(): void;
}

/**
 * Takes exclusive use of a data directory and opens what is in it. Its cost does not grow with the files in it.
 * @throws DirectoryInUseError; LayoutTooNewError; CatalogTooNewError; what the file system says where it cannot be written
 */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<DataDirectory> {
  const layout = new Layout(options.directory);
  await layout.refuseNewer();
  await layout.create();
  const unlock = withBallast(layout.ballast, () => lockDirectory(layout.directory, layout.lock));
  try {
    const { database, setAside } = withBallast(layout.ballast, () =>
      openCatalogFile(layout.catalog, MIGRATIONS, () => markLost(layout.pins)),
    );
    keepBallast(layout.ballast);
    const index = new ContentIndex(database);
    const possession = new Possession(layout);
    const { observer, minFreeBytes, now } = options;
    const maxBytes = await resolveBudget(layout.root, options.maxBytes);
    const store = new DiskStore({ layout, index, maxBytes, minFreeBytes, observer, now });
    const partials = await store.partials.find();
    await store.aside.find();
    const catalog = new Catalog(database, (error) =>
      observer.storageFailed(new StorageError('writing the catalog', error)),
    );
    const misses = new Misses({ database, catalog });
    const pins = new Pins({ database, index, maxBytes: () => store.ledger.maxBytes, now });
    const lost = restoreLost(layout.pins, pins, catalog);
    const copy = new PinsCopy(layout.pins, pins, catalog);
    return {
      layout,
      index,
      catalog,
      misses,
      pins,
      unnamedPins: lost.pins,
      damagedPins: lost.damaged,
      named: () => forgetLost(layout.pins),
      copyPins: () => copy.write(),
      intake: new Intake(store, layout),
      store,
      fills: new Fills({ store, layout, observer, now }),
      partials,
      setAside,
      lost: () => possession.lost(),
      flush: async () => {
        index.flushUses();
        while (misses.flush(MISSES_AT_ONCE)) await turn();
      },
      resize: async (budget) => {
        const maxBytes = await resolveBudget(layout.root, budget.maxBytes);
        return () => store.ledger.limit({ maxBytes, minFreeBytes: budget.minFreeBytes });
      },
      reconcile: (signal) => reconcile({ layout, index, store }, signal),
      scrub: (options) => scrub({ layout, index, store }, options),
      close: () => {
        store.close();
        try {
          index.flushUses();
          misses.flush();
          markClean(database);
          putBack(database, layout.catalog);
          copy.writeAtOnce();
        } catch (error) {
          observer.storageFailed(new StorageError('writing last uses, misses and pins', error));
        }
        database.close();
        keepBallast(layout.ballast);
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

async function resolveBudget(path: string, maxBytes: number | { share: number }): Promise<number> {
  if (typeof maxBytes === 'number') return maxBytes;
  const { blocks, bsize } = await statfs(path);
  return Math.floor(blocks * bsize * maxBytes.share);
}

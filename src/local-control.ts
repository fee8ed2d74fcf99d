/** Owns what a command does by itself, on a data directory that no daemon uses. */
import type { Control } from './admin/control-client.ts';
import { listMisses } from './admin/misses.ts';
import { describeStatus, listImages } from './admin/status.ts';
import { Verifier } from './admin/verifier.ts';
import type { Config } from './config/schema.ts';
import { type DataDirectory, openDataDirectory } from './store/data-directory.ts';
import type { StoreObserver } from './store/disk-store.ts';

/**
 * Opens a data directory that no daemon uses, for a command.
 * @throws what opening it throws
 */
export async function openLocalControl(config: Config, version: string): Promise<Control> {
  const now = Date.now;
  const { directory } = config.storage;
  const opened = await openDataDirectory({ ...config.storage, observer: SILENT, now });
  return {
    status: async () =>
      describeStatus({
        ...opened,
        version,
        startedAtMs: now(),
        listen: undefined,
        admin: undefined,
        directory,
        isOffline: () => config.offline,
        configuration: undefined,
        isWritable: () => true,
        upstreams: [],
        defaultUpstream: config.defaultUpstream,
        now,
      }),
    async *images() {
      yield* listImages(opened.catalog, opened.store);
    },
    async *verify(reference) {
      yield* makeVerifier(opened, config).start(reference);
    },
    async *misses() {
      yield* listMisses(opened.misses.list());
    },
    clearMisses: async () => opened.misses.clear(),
    close: async () => opened.close(),
  };
}

/** A command has no metrics and no log: what it finds is in its report. */
const SILENT: StoreObserver = {
  removed: () => undefined,
  found: () => undefined,
  fillEnded: () => undefined,
  discarded: () => undefined,
  storageFailed: () => undefined,
  storageWorks: () => undefined,
};

/** For a command: without a daemon nothing is asked. */
function makeVerifier(opened: DataDirectory, { upstreams, defaultUpstream }: Config): Verifier {
  const all = [...upstreams.values()];
  const named = (name: string) => all.find(({ host, aliases }) => host === name || aliases.includes(name));
  return new Verifier({ ...opened, upstreams: { named }, defaultUpstream });
}

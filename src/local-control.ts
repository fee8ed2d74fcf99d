/** Owns what a command does by itself, on a data directory that no daemon uses. */
import type { Control } from './admin/control-client.ts';
import { listMisses } from './admin/misses.ts';
import { describeStatus, listImages } from './admin/status.ts';
import { Verifier } from './admin/verifier.ts';
import { type AirgapServices, makeAirgap } from './airgap/airgap.ts';
import type { Config } from './config/schema.ts';
import { silentLogger } from './log.ts';
import { Metrics } from './metrics.ts';
import { assembleMirror } from './mirror-assembly.ts';
import { type DataDirectory, openDataDirectory } from './store/data-directory.ts';
import type { StoreObserver } from './store/disk-store.ts';
import { OfflineSwitch } from './upstream/offline-switch.ts';
import { Upstreams } from './upstreams.ts';

/**
 * Opens a data directory that no daemon uses, for a command.
 * @throws what opening it throws
 */
export async function openLocalControl(config: Config, version: string): Promise<Control> {
  const now = Date.now;
  const { directory } = config.storage;
  const opened = await openDataDirectory({ ...config.storage, observer: SILENT, now });
  const airgap = new LocalAirgap(config, version, opened);
  return {
    status: async () =>
      describeStatus({
        ...opened,
        version,
        startedAtMs: now(),
        listen: undefined,
        admin: undefined,
        isLocalOnly: true,
        directory,
        isOffline: () => config.offline,
        configuration: undefined,
        isWritable: () => true,
        totals: undefined,
        schedules: [],
        upstreams: [],
        defaultUpstream: config.defaultUpstream,
        now,
      }),
    async *images() {
      yield* listImages(opened);
    },
    async *verify(reference) {
      yield* makeVerifier(opened, config).start(reference);
    },
    async *misses() {
      yield* listMisses(opened.misses.list());
    },
    clearMisses: async () => opened.misses.clear(),
    prewarm: (request) => airgap.services.prewarm(request),
    pins: () => airgap.services.pins(),
    pin: (request) => airgap.services.pin(request),
    unpin: (references) => airgap.services.unpin(references),
    remove: (request) => airgap.services.remove(request),
    export: (request) => airgap.services.export(request),
    checkImport: (contents) => airgap.services.checkImport(contents),
    import: (request, archive) => airgap.services.import(request, archive),
    close: async () => {
      await airgap.close();
      opened.close();
    },
  };
}

/** Clients of upstreams are made where something asks for them: most commands only look. */
class LocalAirgap {
  readonly #config: Config;
  readonly #version: string;
  readonly #opened: DataDirectory;
  #made: { upstreams: Upstreams; services: AirgapServices } | undefined;

  constructor(config: Config, version: string, opened: DataDirectory) {
    this.#config = config;
    this.#version = version;
    this.#opened = opened;
  }

  get services(): AirgapServices {
    this.#made ??= this.#make();
    return this.#made.services;
  }

  /** What is partial is kept, as in a daemon that ends. */
  async close(): Promise<void> {
    if (!this.#made) return;
    await this.#opened.fills.close(AbortSignal.abort());
    await this.#made.upstreams.close();
  }

  #make(): { upstreams: Upstreams; services: AirgapServices } {
    const log = silentLogger();
    const now = Date.now;
    const offline = new OfflineSwitch(this.#config.offline);
    const metrics = new Metrics(this.#version);
    const upstreams = new Upstreams(this.#config, { metrics, log, offline, now });
    const { isOffline } = offline;
    const parts = { opened: this.#opened, upstreams: upstreams.table, isOffline, now };
    const mirror = assembleMirror({ ...parts, failedBehind: () => undefined });
    return { upstreams, services: makeAirgap({ ...this.#opened, ...mirror, ...parts }) };
  }
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

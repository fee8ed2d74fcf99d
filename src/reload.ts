/** Owns what another configuration changes while hubcap runs, and what it does not. */
import { isDeepStrictEqual } from 'node:util';
import type { ReloadReport } from './admin/status.ts';
import type { Schedules } from './airgap/schedules.ts';
import { ConfigError } from './config/load.ts';
import type { Config } from './config/schema.ts';
import type { RegistryServer } from './http/registry-server.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import { RefusedError } from './refused-error.ts';
import type { DataDirectory } from './store/data-directory.ts';
import type { OfflineSwitch } from './upstream/offline-switch.ts';
import type { Upstreams } from './upstreams.ts';

export interface ReloaderParts {
  /** what hubcap was started with */
  config: Config;
  /** reads the same sources as the start. @throws ConfigError with every problem */
  load: () => Config;
  upstreams: Upstreams;
  registry: Pick<RegistryServer, 'limit'>;
  schedules: Pick<Schedules, 'configure'>;
  opened: Pick<DataDirectory, 'resize'>;
  offline: Pick<OfflineSwitch, 'set'>;
  metrics: Metrics;
  log: Logger;
  now: () => number;
  /** aborted when the daemon begins to stop */
  stop: AbortSignal;
}

/** A key as the configuration writes it, and its value. */
type Key = readonly [name: string, valueIn: (config: Config) => unknown];

/** What listeners, the lock and the log were made with. */
const FIXED: readonly Key[] = [
  ['listen', ({ listen }) => listen],
  ['admin', ({ admin }) => admin],
  ['control', ({ control }) => control],
  ['storage.directory', ({ storage }) => storage.directory],
  ['storage.scrub', ({ storage }) => storage.scrubBytesPerS],
  ['log.format', ({ log }) => log.format],
];

const CHANGEABLE: readonly Key[] = [
  ['adminNames', ({ adminNames }) => adminNames],
  ['storage.maxSize', ({ storage }) => storage.maxBytes],
  ['storage.minFree', ({ storage }) => storage.minFreeBytes],
  ['prewarm', ({ prewarm }) => prewarm],
  ['offline', ({ offline }) => offline],
  ['http.headerTimeout', ({ http }) => http.headerTimeoutMs],
  ['http.idleTimeout', ({ http }) => http.idleTimeoutMs],
  ['http.keepAlive', ({ http }) => http.keepAliveMs],
  ['http.maxConnections', ({ http }) => http.maxConnections],
  ['http.drain', ({ http }) => http.drainMs],
  ['log.level', ({ log }) => log.level],
  ['proxy', ({ proxy }) => proxy],
];

export class Reloader {
  readonly #parts: ReloaderParts;
  #loaded: Config;
  #loadedAtMs: number;
  #last: Promise<unknown> = Promise.resolve();
  #waiting: Promise<ReloadReport> | undefined;

  constructor(parts: ReloaderParts) {
    this.#parts = parts;
    this.#loaded = parts.config;
    this.#loadedAtMs = parts.now();
    parts.metrics.configLoaded(this.#loadedAtMs);
  }

  /** what was loaded last; keys that need a restart may not hold yet */
  get loaded(): Config {
    return this.#loaded;
  }

  get loadedAtMs(): number {
    return this.#loadedAtMs;
  }

  /** keys whose value is another than hubcap was started with, and that hold after the next start */
  get needsRestart(): string[] {
    return differing(FIXED, this.#parts.config, this.#loaded);
  }

  /**
   * Reads the configuration again and puts it into effect, one time after the other. Who asks while one waits for its
   * turn gets what comes of that one: it has read nothing yet.
   * @throws RefusedError where it cannot be used; then nothing has changed
   */
  reload(): Promise<ReloadReport> {
    if (this.#waiting) return this.#waiting;
    const turn = this.#last.then(() => {
      this.#waiting = undefined;
      return this.#reload();
    });
    this.#waiting = turn;
    this.#last = turn.catch(() => undefined); // told to who asked for it
    return turn;
  }

  async #reload(): Promise<ReloadReport> {
    const { log, metrics, stop, now } = this.#parts;
    if (stop.aborted) throw new RefusedError(409, 'hubcap is stopping: nothing is reloaded');
    let apply: () => ReloadReport;
    try {
      apply = await this.#prepare(this.#parts.load());
    } catch (error) {
      metrics.configReloaded(false, now());
      const problems = error instanceof ConfigError ? error.lines : undefined;
      log.error(
        problems ? { problems } : { error },
        'the configuration is not reloaded: nothing has changed',
      );
      const why = error instanceof Error ? error.message : String(error);
      throw new RefusedError(400, `nothing has changed: ${why}`);
    }
    const report = apply();
    metrics.configReloaded(true, now());
    const { needsRestart, ...changes } = report;
    log.info(changes, 'the configuration is reloaded');
    if (needsRestart.length > 0)
      log.warn({ keys: needsRestart }, 'what was changed here holds after a restart');
    return report;
  }

  /** All that can fail. @returns the rest: it happens at once, and cannot */
  async #prepare(next: Config): Promise<() => ReloadReport> {
    const { upstreams, registry, schedules, opened, offline, log, now } = this.#parts;
    const isBudgetNew = differing(BUDGET, this.#loaded, next).length > 0;
    const resize = isBudgetNew ? await opened.resize(next.storage) : undefined;
    const replace = upstreams.prepare(next);
    return () => {
      const settings = differing(CHANGEABLE, this.#loaded, next);
      const changes = replace();
      resize?.();
      registry.limit(next.http);
      schedules.configure(next.prewarm);
      log.level = next.log.level;
      // What a command has turned stays so until the configuration says something else than it did.
      if (next.offline !== this.#loaded.offline) offline.set(next.offline);
      this.#loaded = next;
      this.#loadedAtMs = now();
      return { ...changes, settings, needsRestart: this.needsRestart };
    };
  }
}

const BUDGET = CHANGEABLE.filter(([name]) => name.startsWith('storage.'));

function differing(keys: readonly Key[], before: Config, after: Config): string[] {
  return keys
    .filter(([, valueIn]) => !isDeepStrictEqual(valueIn(before), valueIn(after)))
    .map(([name]) => name);
}

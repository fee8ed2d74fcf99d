/** Owns the status page as a whole: what is asked when, and what is shown of the answers. */
import type { HistoryDocument, HistorySample } from '../src/admin/history.ts';
import type { PageStatus } from '../src/admin/status.ts';
import { askHistory, askReadiness, askStatus } from './api.ts';
import { showClients, typeAddress } from './clients.ts';
import { showFound, showLost, showMisfit, showUpgrade } from './connection.ts';
import { h, part, show } from './dom.ts';
import { showDownloads, showSchedules } from './downloads.ts';
import { FillRates } from './fill-rates.ts';
import { daemonNowMs, joinSamples, minutesOf, sampleOf } from './hour.ts';
import { HourView } from './hour-view.ts';
import { noticesOf } from './notices.ts';
import { showOverview, showTiles } from './overview.ts';
import { Poller } from './poller.ts';
import { StoredNames } from './stored-names.ts';
import { showUpstreams } from './upstreams.ts';
import { formatMoment } from './words.ts';

const STATUS = { intervalMs: 2_000, deadlineMs: 5_000 };
/** The status tells its time in whole seconds. */
const CLOCK_TOLERANCE_MS = 2_000;
const SLOWER = { intervalMs: 10_000, deadlineMs: 10_000 };

export class StatusPage {
  readonly #hour = new HourView();
  readonly #rates = new FillRates();
  readonly #names = new StoredNames({ ...SLOWER, nowMs: () => this.#nowMs() });
  readonly #status = new Poller({
    ...STATUS,
    ask: askStatus,
    got: (status) => this.#got(status),
    failed: (error) => this.#lost(error),
  });
  /** Whether the daemon is there is what the question about the status says: these fail in silence, and ask again. */
  readonly #others = [
    new Poller({
      ...SLOWER,
      ask: (signal) => askHistory(this.#samples.at(-1)?.atMs ?? 0, signal),
      got: (history) => this.#gotHistory(history),
      failed: () => undefined,
    }),
    new Poller({
      ...SLOWER,
      ask: askReadiness,
      got: ({ reasons }) => {
        this.#notReady = reasons;
        this.#showTop();
      },
      failed: () => undefined,
    }),
  ];
  #last: PageStatus | undefined;
  /** by the clock of the browser */
  #lastSeenMs: number | undefined;
  #isLost = true;
  #loadedVersion: string | undefined;
  #samples: HistorySample[] = [];
  #notReady: readonly string[] = [];

  /** Nothing is asked while nobody can see the page. */
  start(): void {
    document.addEventListener('visibilitychange', () => this.#watch());
    window.addEventListener('online', () => this.#status.askNow());
    this.#watch();
  }

  retry(): void {
    this.#status.askNow();
  }

  sortImages(by: string): void {
    this.#names.sort(by === 'used' ? 'used' : 'name');
  }

  searchImages(text: string): void {
    this.#names.search(text);
  }

  turnToImages(offset: number): void {
    this.#names.turnTo(offset);
  }

  showMisses(limit: number): void {
    this.#names.showMisses(limit);
  }

  typeAddress(address: string): void {
    typeAddress(address);
    if (this.#last) showClients(this.#last, location.hostname);
  }

  #watch(): void {
    if (document.hidden) {
      this.#status.pause();
      this.#pauseOthers();
    } else {
      this.#status.start();
      if (!this.#isLost) this.#startOthers();
    }
  }

  #startOthers(): void {
    for (const poller of this.#others) poller.start();
    this.#names.start(this.#last?.tellsNames === true);
  }

  #pauseOthers(): void {
    for (const poller of this.#others) poller.pause();
    this.#names.pause();
  }

  #got(status: PageStatus): void {
    const before = this.#last;
    const isAnotherLife = before?.startedAt !== status.startedAt || before.pid !== status.pid;
    const isOtherwiseTold = before?.tellsNames !== status.tellsNames;
    const isClockBack = (this.#samples.at(-1)?.atMs ?? 0) > daemonNowMs(status) + CLOCK_TOLERANCE_MS;
    if (isAnotherLife || isClockBack) this.#samples = []; // its counts began anew, or its time did
    if (isAnotherLife) {
      this.#notReady = [];
    }
    this.#last = status;
    this.#lastSeenMs = Date.now();
    this.#loadedVersion ??= status.version;
    const wasLost = this.#isLost;
    this.#isLost = false;
    if (wasLost) showFound();
    if (wasLost || isAnotherLife || isClockBack || isOtherwiseTold) this.#startOthers();
    try {
      this.#show(status);
    } catch (error) {
      console.error(error);
      showMisfit(status.version);
    }
    showUpgrade(this.#loadedVersion, status.version);
  }

  #lost(error: unknown): void {
    this.#isLost = true;
    this.#pauseOthers();
    showLost(error, this.#lastSeenMs, Date.now());
  }

  #gotHistory({ samples }: HistoryDocument): void {
    this.#samples = joinSamples(this.#samples, samples);
    this.#showHour();
  }

  #show(status: PageStatus): void {
    const nowMs = daemonNowMs(status);
    this.#showTop();
    showUpstreams(status, nowMs);
    showDownloads(this.#rates.rate(status.fills, Date.now()));
    showSchedules(status, nowMs);
    showClients(status, location.hostname);
    if (this.#samples.length > 0) this.#showHour();
    const { directory, pid, configuration } = status;
    const loaded = configuration
      ? `, configuration read at ${formatMoment(Date.parse(configuration.loadedAt), nowMs)}`
      : '';
    show(part('about'), 'Data in ', h('code', {}, directory), `, process ${pid}${loaded}`);
  }

  #showTop(): void {
    if (!this.#last) return;
    const nowMs = this.#nowMs();
    showOverview(this.#last, noticesOf(this.#last, this.#notReady, nowMs));
    showTiles(this.#last, this.#allSamples(), nowMs);
  }

  #showHour(): void {
    this.#hour.show(minutesOf(this.#allSamples(), this.#nowMs()));
  }

  /** This moment included. */
  #allSamples(): HistorySample[] {
    const now = this.#last && sampleOf(this.#last);
    return now ? joinSamples(this.#samples, [now]) : this.#samples;
  }

  #nowMs(): number {
    return this.#last ? daemonNowMs(this.#last) : Date.now();
  }
}

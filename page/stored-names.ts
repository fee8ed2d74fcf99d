/** Owns what is asked and shown of images and misses: of both, only who may hear names is told. */
import type { ImagePage } from '../src/admin/image-browser.ts';
import type { MissesPage } from '../src/admin/misses.ts';
import { AnswerError, askImages, askMisses, type ImageWish } from './api.ts';
import { part } from './dom.ts';
import { hideImages, offsetWithin, PAGE_IMAGES, showImages } from './images.ts';
import { hideMisses, MISS_STEPS, showMisses } from './misses.ts';
import { noNames } from './no-names.ts';
import { Poller } from './poller.ts';
import { nothing } from './state.ts';

export interface StoredNamesOptions {
  intervalMs: number;
  deadlineMs: number;
  /** by the clock of the daemon */
  nowMs: () => number;
}

export class StoredNames {
  readonly #nowMs: () => number;
  readonly #images: Poller<ImagePage>;
  readonly #misses: Poller<MissesPage>;
  #wish: ImageWish = { search: '', sort: 'name', offset: 0, limit: PAGE_IMAGES, isQuick: true };
  #missLimit: number = MISS_STEPS[0];

  constructor({ nowMs, ...pace }: StoredNamesOptions) {
    this.#nowMs = nowMs;
    this.#images = new Poller({
      ...pace,
      ask: (signal) => askImages(this.#wish, signal),
      got: (page) => this.#gotImages(page),
      failed: (error) => {
        busy(false);
        if (error instanceof AnswerError) hideImages(nothing(error.message));
      },
    });
    this.#misses = new Poller({
      ...pace,
      ask: (signal) => askMisses(this.#missLimit, signal),
      got: (page) => showMisses(page, this.#missLimit, this.#nowMs()),
      failed: (error) => {
        if (error instanceof AnswerError) hideMisses(nothing(error.message));
      },
    });
  }

  /** @param isTold whether the daemon tells names: who is not told does not ask */
  start(isTold: boolean): void {
    if (isTold) {
      this.#wish = { ...this.#wish, isQuick: true };
      this.#images.start();
      this.#misses.start();
    } else {
      this.pause();
      hideImages(noNames('images'));
      hideMisses(noNames('misses'));
    }
  }

  pause(): void {
    this.#images.pause();
    this.#misses.pause();
  }

  sort(by: ImageWish['sort']): void {
    this.#wishFor({ sort: by, offset: 0 });
  }

  search(text: string): void {
    this.#wishFor({ search: text, offset: 0 });
  }

  turnTo(offset: number): void {
    this.#wishFor({ offset });
  }

  showMisses(limit: number): void {
    this.#missLimit = limit;
    this.#misses.askNow();
  }

  #wishFor(change: Partial<ImageWish>): void {
    this.#wish = { ...this.#wish, ...change };
    busy(true);
    this.#images.askNow();
  }

  #gotImages(page: ImagePage): void {
    const offset = offsetWithin(this.#wish.offset, page.matching);
    if (offset !== this.#wish.offset) {
      this.turnTo(offset);
      return;
    }
    busy(!page.isCounted);
    showImages(page, this.#wish, this.#nowMs());
    this.#wish = { ...this.#wish, isQuick: false };
    if (!page.isCounted) this.#images.askNow();
  }
}

function busy(isBusy: boolean): void {
  part('image-list').setAttribute('aria-busy', String(isBusy));
}

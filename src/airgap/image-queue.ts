/** Owns the order in which the images of a list are fetched: those of an upstream that is waited for are put off. */
import { setTimeout as wait } from 'node:timers/promises';

interface PutOff<T> {
  images: T[];
  /** resolves when the upstream may be asked again, and its images are ready */
  over: Promise<void>;
}

/** In the order of the list, but for what is put off: nobody waits for one upstream who could ask another. */
export class ImageQueue<T extends { host: string }> {
  #ready: T[];
  readonly #putOff = new Map<string, PutOff<T>>();
  readonly #signal: AbortSignal;

  /** @param signal ends all waiting */
  constructor(images: readonly T[], signal: AbortSignal) {
    this.#ready = [...images];
    this.#signal = signal;
  }

  /**
   * Waits where only such are left as are put off.
   * @returns undefined where none is left
   * @throws the signal's reason
   */
  async next(): Promise<T | undefined> {
    for (;;) {
      this.#signal.throwIfAborted();
      const image = this.#ready.shift();
      const putOff = image && this.#putOff.get(image.host);
      if (image && !putOff) return image;
      if (image) putOff?.images.push(image);
      else if (this.#putOff.size === 0) return undefined;
      else await Promise.race([...this.#putOff.values()].map(({ over }) => over));
    }
  }

  /** The image comes again, with all others of its upstream, when the time is over. @returns whether that is news */
  putOff(image: T, waitMs: number): boolean {
    const known = this.#putOff.get(image.host);
    if (known) {
      known.images.unshift(image);
      return false;
    }
    const images = [image];
    const over = wait(waitMs, undefined, { signal: this.#signal }).then(() => {
      this.#putOff.delete(image.host);
      this.#ready = [...images, ...this.#ready];
    });
    over.catch(() => undefined); // told to who waits for it, and that may be nobody
    this.#putOff.set(image.host, { images, over });
    return true;
  }
}

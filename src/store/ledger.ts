/** Owns the byte budget: what is stored, reserved for fills, and being deleted. */

import { MinFree } from './min-free.ts';

/** Content takes whole blocks on disk; budgets count what the disk really spends. */
export const BLOCK_BYTES = 4096;

/** @returns what `bytes` of content cost on disk */
export function sizeOnDisk(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

export interface LedgerOptions {
  /** the budget, bytes on disk */
  maxBytes: number;
  /** what must stay free on the file system, bytes */
  minFreeBytes: number;
  /** asks the file system what is free, bytes */
  freeBytes: () => Promise<number>;
  /**
   * Takes the least recently used content out of the store until about `bytes` (on disk) are gone, for the budget
   * or because others fill the disk. It tells the ledger through `deleting` and `deleted`. @returns what it took; 0 where nothing is left to take
   */
  evict: (bytes: number, reason: EvictionReason) => Promise<number>;
  /** what comes free as soon as readers of evicted files end, bytes */
  comingBytes?: () => number;
  /** what of the content `evict` never takes, bytes on disk */
  pinnedBytes?: () => number;
}

export type EvictionReason = 'budget' | 'minFree';

/** What was evicted to bring the budget or the free space back, bytes on disk. */
export interface Restored {
  budgetBytes: number;
  minFreeBytes: number;
  /** enough is not free, and evicting did not help */
  isInVain: boolean;
  /** more is pinned than the budget holds: that is kept all the same */
  isOverPinned: boolean;
}

/** Bytes set aside for content that is being written. Ends once: by `commit` or by `release`. */
export interface Reservation {
  readonly bytes: number;
  /** tells how much more of it is on disk by now (or less), so that the file system's own count is read right */
  wrote(bytes: number): void;
  /** asks for `bytes` in all; false where that cannot be had */
  growTo(bytes: number): Promise<boolean>;
  /** the content is stored and takes `bytes` */
  commit(bytes: number): void;
  release(): void;
}

/** A disk that has not even this much is full. */
const LEAST_ROOM_BYTES = 1024 * 1024;

/**
 * Invariant: used + reserved + deleting never passes `maxBytes` by what the ledger grants. Grants are made one
 * after the other (`#queue`), so many fills that start at once evict for their sum and no more.
 */
export class Ledger {
  readonly #options: LedgerOptions;
  #maxBytes: number;
  #minFreeBytes: number;
  #used = 0;
  #reserved = 0;
  #written = 0;
  #deleting = 0;
  readonly #minFree = new MinFree();
  #isDiskFull = false;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: LedgerOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes;
    this.#minFreeBytes = options.minFreeBytes;
  }

  /** the budget, bytes on disk */
  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** Has another budget from now on; what is too much then goes by `restore`. */
  limit({ maxBytes, minFreeBytes }: { maxBytes: number; minFreeBytes: number }): void {
    this.#maxBytes = maxBytes;
    this.#minFreeBytes = minFreeBytes;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get reservedBytes(): number {
    return this.#reserved;
  }

  get deletingBytes(): number {
    return this.#deleting;
  }

  /** whether the file system had no room for any content when it was last asked, whatever would be evicted */
  get isDiskFull(): boolean {
    return this.#isDiskFull;
  }

  /** Notes content that is on disk without having been reserved (found at start). */
  found(bytes: number): void {
    this.#used += sizeOnDisk(bytes);
  }

  /** Notes content that is no longer there although nobody deleted it. */
  lost(bytes: number): void {
    this.#used -= sizeOnDisk(bytes);
  }

  /** Moves content from used to being deleted; `deleted` must follow. */
  deleting(bytes: number): void {
    this.#used -= sizeOnDisk(bytes);
    this.#deleting += sizeOnDisk(bytes);
  }

  /** The deletion has ended. */
  deleted(bytes: number): void {
    this.#deleting -= sizeOnDisk(bytes);
  }

  /**
   * Sets bytes aside, evicting where needed.
   * @returns the reservation, or undefined where the content cannot fit
   */
  async reserve(bytes: number): Promise<Reservation | undefined> {
    const cost = sizeOnDisk(bytes);
    return (await this.#grant(cost)) ? this.#makeReservation(cost) : undefined;
  }

  /**
   * Takes over `bytes` that are on disk already and that nobody counts any more: they need no room, and at no
   * moment may another reservation be given theirs.
   */
  claim(bytes: number): Reservation {
    const cost = sizeOnDisk(bytes);
    this.#reserved += cost;
    const reservation = this.#makeReservation(cost);
    reservation.wrote(cost);
    return reservation;
  }

  /**
   * Evicts what is too much: the budget may be smaller than it was, others may have filled the disk. To be called
   * every few seconds.
   * @throws what `freeBytes` and `evict` throw
   */
  restore(): Promise<Restored> {
    return this.#inLine(() => this.#restore());
  }

  async #restore(): Promise<Restored> {
    const { evict, freeBytes, comingBytes = () => 0 } = this.#options;
    const over = this.#used + this.#reserved + this.#deleting - this.#maxBytes;
    const budgetBytes = over > 0 ? await evict(over, 'budget') : 0;
    const free = await freeBytes();
    const lacking = this.#minFreeBytes + this.#promised() - free - comingBytes();
    this.#isDiskFull = !this.#couldBeFree(LEAST_ROOM_BYTES, free);
    const wanted = this.#minFree.decide(free, lacking);
    const evicted = wanted > 0 ? await evict(wanted, 'minFree') : 0;
    this.#minFree.evicted(free, evicted);
    const isInVain = this.#minFree.isInVain || (wanted > 0 && evicted === 0);
    const isOverPinned = this.#pinned() > this.#maxBytes;
    return { budgetBytes, minFreeBytes: evicted, isInVain, isOverPinned };
  }

  #makeReservation(initialCost: number): Reservation {
    let cost = initialCost;
    let written = 0;
    const end = (): void => {
      this.#reserved -= cost;
      this.#written -= written;
      cost = 0;
      written = 0;
    };
    const growTo = async (bytes: number): Promise<boolean> => {
      const extra = sizeOnDisk(bytes) - cost;
      if (extra <= 0) return true;
      if (!(await this.#grant(extra))) return false;
      cost += extra;
      return true;
    };
    return {
      get bytes() {
        return cost;
      },
      growTo,
      release: end,
      wrote: (bytes) => {
        const counted = Math.max(-written, Math.min(bytes, cost - written));
        this.#written += counted;
        written += counted;
      },
      commit: (bytes) => {
        end();
        this.#used += sizeOnDisk(bytes);
      },
    };
  }

  #grant(cost: number): Promise<boolean> {
    return this.#inLine(() => this.#makeRoom(cost));
  }

  #inLine<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined); // the asker sees the failure; the next in line starts afresh
    return turn;
  }

  async #makeRoom(cost: number): Promise<boolean> {
    // What readers of evicted files hold open comes free without further eviction.
    const freeAtFirst = (await this.#options.freeBytes()) + (this.#options.comingBytes?.() ?? 0);
    if (cost + this.#reserved + this.#pinned() > this.#maxBytes) return false;
    this.#isDiskFull = !this.#couldBeFree(LEAST_ROOM_BYTES, freeAtFirst);
    if (!this.#couldBeFree(cost, freeAtFirst)) return false;
    let evicted = 0;
    for (;;) {
      // The file system may give space back late (an evicted file that is still being read): count it as given
      // back, or one such file would empty the store.
      const free = Math.max(freeAtFirst + evicted, evicted === 0 ? 0 : await this.#options.freeBytes());
      const shortfall = this.#shortfall(cost, free);
      if (shortfall <= 0) {
        this.#reserved += cost;
        return true;
      }
      const taken = await this.#options.evict(shortfall, 'budget');
      if (taken === 0) return false;
      evicted += taken;
    }
  }

  /** Whether evicting everything would be enough: nothing is evicted for what cannot fit. */
  #couldBeFree(cost: number, free: number): boolean {
    const reachable = free + this.#used - this.#pinned() + this.#deleting;
    return this.#minFreeBytes + this.#promised() + cost <= reachable;
  }

  #shortfall(cost: number, free: number): number {
    const overBudget = this.#used + this.#reserved + this.#deleting + cost - this.#maxBytes;
    return Math.max(overBudget, this.#minFreeBytes + this.#promised() + cost - free);
  }

  #pinned(): number {
    return this.#options.pinnedBytes?.() ?? 0;
  }

  /** What is granted and not on disk yet. */
  #promised(): number {
    return Math.max(0, this.#reserved - this.#written);
  }
}

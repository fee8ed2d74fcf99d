/** Owns the pins: references whose whole closure eviction never takes. */
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { Digest } from '../oci/digest.ts';
import type { RepositoryName } from './catalog.ts';
import type { ContentIndex, StoredContent } from './content-index.ts';
import { StorageError } from './errors.ts';
import { sizeOnDisk } from './ledger.ts';
import { type PinStatements, preparePins } from './pin-statements.ts';
import { transact } from './transaction.ts';

/** What is wanted of a reference. */
export interface PinWish {
  repository: RepositoryName;
  /** a tag or a digest */
  reference: string;
  /** who wants it: empty for a person, else the list of a schedule */
  origin: string;
  /** `all`, or which platforms of an index, in order; empty for an image without index */
  platforms: 'all' | readonly string[];
  withReferrers: boolean;
}

export interface Pin extends PinWish {
  /** what the reference was when its closure was last whole */
  digest: Digest;
  pinnedAtMs: number;
}

/** More would be pinned than the budget holds. */
export class PinBudgetError extends Error {
  /** bytes on disk: of what is to be pinned, and of it and all that is pinned together */
  readonly wantedBytes: number;
  readonly totalBytes: number;
  readonly maxBytes: number;

  constructor(wantedBytes: number, totalBytes: number, maxBytes: number) {
    super(`pinning ${wantedBytes} bytes more makes ${totalBytes} of ${maxBytes}`);
    this.name = 'PinBudgetError';
    this.wantedBytes = wantedBytes;
    this.totalBytes = totalBytes;
    this.maxBytes = maxBytes;
  }
}

/** Held by a run until it ends: by then what it holds is pinned, or not wanted. */
export interface Hold {
  /**
   * @param isStored whether all of it is here: then it needs no room
   * @throws PinBudgetError, StorageError; nothing is held then that was not before
   */
  add(contents: readonly StoredContent[], isStored?: boolean): void;
  /**
   * Lets go of all of it, some at a time: others have their turn between. Where the catalog cannot note it,
   * `Pins.finishReleases` does later.
   */
  release(): Promise<void>;
}

export interface PinsOptions {
  database: DatabaseSync;
  index: ContentIndex;
  /** the budget, bytes on disk */
  maxBytes: () => number;
  now: () => number;
}

/** A change is one transaction: whatever ends the process, a pin is as it was or as it is to be. */
export class Pins {
  readonly #options: PinsOptions;
  readonly #statements: PinStatements;
  /** of all that belongs to pins, stored or not */
  #bytes = 0;
  #holds = 0;
  /** holds that have ended, and of which the catalog could not note it */
  readonly #unreleased = new Set<number>();
  #changes = 0;

  constructor(options: PinsOptions) {
    this.#options = options;
    this.#statements = preparePins(options.database);
    const left = this.#statements.listHeld.all().map(({ digest }) => String(digest) as Digest);
    if (left.length > 0) this.#change(() => this.#letGo(left, () => this.#statements.deleteHolds.run()));
    this.#bytes = this.#sum();
  }

  /** What was changed in somebody else's transaction did not come to pass. */
  recount(): void {
    this.#bytes = this.#sum();
    this.#options.index.recount();
  }

  /** what all that is pinned takes on disk once it is all here, each content once */
  get bytes(): number {
    return this.#bytes;
  }

  /** how often pins were set or ended since the start */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Keeps content from eviction while it is fetched, also content that is not here yet.
   * @returns what it is held by; after a start nothing is
   */
  hold(): Hold {
    const id = -++this.#holds;
    const held = new Set<Digest>();
    return {
      add: (contents, isStored = false) => {
        // A transaction takes longer than all else of it: who asks for the same again is spared it.
        const more = contents.filter(({ digest }) => !held.has(digest));
        if (more.length === 0) return;
        if (!isStored) this.check(more);
        this.#change(() => this.#take(id, HELD, more), 'NORMAL');
        for (const { digest } of more) held.add(digest);
      },
      release: async () => {
        try {
          await this.#release(id);
        } catch {
          this.#unreleased.add(id); // whoever held it is done; a full disk notes it when it can
        }
      },
    };
  }

  /** Ends holds whose end could not be noted. To be called every few seconds. @throws StorageError */
  async finishReleases(): Promise<void> {
    for (const id of [...this.#unreleased]) {
      await this.#release(id);
      this.#unreleased.delete(id);
    }
  }

  async #release(id: number): Promise<void> {
    // A start lets go of what is held: a catalog that is closed by now needs nothing more.
    while (this.#options.database.isOpen) {
      const rows = this.#statements.listHeldBy.all(id, HELD_AT_ONCE);
      const held = rows.map(({ digest }) => String(digest) as Digest);
      if (held.length > 0) this.#change(() => this.#letGo(held, () => this.#endHold(id, held)), 'NORMAL');
      if (held.length < HELD_AT_ONCE) return;
      await turn();
    }
  }

  /**
   * Pins a closure in place of what the reference was before; platforms of the same index come to those that are
   * pinned. In somebody else's transaction it is part of that: where it fails, `recount` is to follow.
   * @param root what the reference is: a manifest or an index, which is part of `contents`
   * @throws PinBudgetError, StorageError; the pin is then as it was
   */
  set(wish: PinWish, root: Digest, contents: readonly StoredContent[]): void {
    const { repository, reference, origin, withReferrers } = wish;
    this.check(contents);
    this.#change(() => {
      const before = this.#find(repository, reference, origin);
      const platforms = before?.digest === root ? union(before.platforms, wish.platforms) : wish.platforms;
      const text = platforms === 'all' ? platforms : platforms.join(',');
      const hasReferrers = withReferrers || (before?.digest === root && before.withReferrers);
      const { upstream, name } = repository;
      const at = this.#options.now();
      const key = [upstream, name, reference, origin] as const;
      this.#statements.upsertPin.run(...key, text, hasReferrers ? 1 : 0, root, at);
      const id = Number(this.#statements.selectPin.get(...key)?.id);
      this.#take(id, root, contents);
      this.#changes += 1;
      const old = this.#statements.listOtherRoots.all(id, root).map(({ digest }) => String(digest) as Digest);
      if (old.length > 0) this.#letGo(old, () => this.#statements.deleteOtherRoots.run(id, root));
    });
  }

  /** Ends a pin. @returns whether there was one. @throws StorageError */
  delete(repository: RepositoryName, reference: string, origin: string): boolean {
    const pin = this.#find(repository, reference, origin);
    if (pin) this.deleteAll([pin]);
    return pin !== undefined;
  }

  /** Ends pins, all or none of them. @throws StorageError */
  deleteAll(pins: readonly Pin[]): void {
    this.#change(() => {
      for (const { repository, reference, origin } of pins) {
        const row = this.#statements.selectPin.get(repository.upstream, repository.name, reference, origin);
        if (!row) continue; // by somebody else meanwhile
        const id = Number(row.id);
        const digests = this.#statements.listPinned.all(id).map(({ digest }) => String(digest) as Digest);
        this.#letGo(digests, () => this.#statements.deletePinned.run(id));
        this.#statements.deletePin.run(id);
        this.#changes += 1;
      }
    });
  }

  /** Has pins that were acknowledged and are not known any more, whether or not there is room. @throws StorageError */
  restore(pins: readonly (Pin & { contents: readonly StoredContent[] })[]): void {
    this.#change(() => {
      for (const { repository, reference, origin, platforms, withReferrers, digest, ...pin } of pins) {
        const key = [repository.upstream, repository.name, reference, origin] as const;
        const text = platforms === 'all' ? platforms : platforms.join(',');
        this.#statements.upsertPin.run(...key, text, withReferrers ? 1 : 0, digest, pin.pinnedAtMs);
        this.#take(Number(this.#statements.selectPin.get(...key)?.id), digest, pin.contents);
        this.#changes += 1;
      }
    });
  }

  /** @returns the pins of a reference, of whatever origin */
  of({ upstream, name }: RepositoryName, reference: string): Pin[] {
    return this.#statements.selectPins.all(upstream, name, reference).map(toPin);
  }

  /** All pins, in order. */
  list(): Pin[] {
    return this.#statements.listPins.all().map(toPin);
  }

  /** how many there are */
  get count(): number {
    return Number(this.#statements.countPins.get()?.pins);
  }

  /** Pins whose tag has become another digest. */
  moved(): Pin[] {
    return this.#statements.listMoved.all().map(toPin);
  }

  /** Pins of which something is not here. Looks at all that is pinned: others have their turn between. */
  async incomplete(): Promise<Pin[]> {
    const found: Pin[] = [];
    for (const { id, ...row } of this.#statements.listPins.all()) {
      if (!this.#options.database.isOpen) break;
      if (this.#statements.selectMissing.get(Number(id))) found.push(toPin(row));
      await turn();
    }
    return found;
  }

  /** @returns what belongs to a pin: of a digest, or of what a tag was when it was last whole */
  contents({ repository: { upstream, name }, reference, origin, digest }: Pin): StoredContent[] {
    return this.#statements.listContents
      .all(upstream, name, reference, origin, digest)
      .map((row) => ({ digest: String(row.digest) as Digest, size: Number(row.size) }));
  }

  /** @returns whether a pin or a run names the content */
  names(digest: Digest): boolean {
    return this.#statements.selectNamed.get(digest) !== undefined;
  }

  /** @throws PinBudgetError where `contents` beside all that is pinned does not fit */
  check(contents: readonly StoredContent[]): void {
    const more = this.#more(contents);
    const totalBytes = this.#bytes + more;
    const maxBytes = this.#options.maxBytes();
    if (more > 0 && totalBytes > maxBytes) throw new PinBudgetError(more, totalBytes, maxBytes);
  }

  #sum(): number {
    return Number(this.#statements.sumPinned.get(BigInt(sizeOnDisk(1)))?.bytes);
  }

  #find({ upstream, name }: RepositoryName, reference: string, origin: string): Pin | undefined {
    const row = this.#statements.selectPin.get(upstream, name, reference, origin);
    return row && toPin(row);
  }

  /** In a transaction. */
  #take(pin: number, root: string, contents: readonly StoredContent[]): void {
    for (const { digest, size } of contents) {
      const before = this.#bytesNamed(digest);
      if (this.#statements.insertPinned.run(pin, root, digest, size).changes === 0) continue;
      this.#bytes += Math.max(0, sizeOnDisk(size) - before);
      if (before === 0) this.#options.index.pinsChanged(digest);
    }
  }

  #endHold(id: number, held: readonly Digest[]): void {
    for (const digest of held) this.#statements.deleteHeld.run(id, HELD, digest);
  }

  /** In a transaction. */
  #letGo(digests: readonly Digest[], remove: () => void): void {
    const before = new Map(digests.map((digest) => [digest, this.#bytesNamed(digest)]));
    remove();
    for (const [digest, bytes] of before) {
      this.#bytes += this.#bytesNamed(digest) - bytes;
      this.#options.index.pinsChanged(digest);
    }
  }

  /** Bytes on disk of what nobody has pinned yet. */
  #more(contents: readonly StoredContent[]): number {
    const sizes = new Map(contents.map(({ digest, size }) => [digest, size]));
    let more = 0;
    for (const [digest, size] of sizes) more += Math.max(0, sizeOnDisk(size) - this.#bytesNamed(digest));
    return more;
  }

  /** Bytes on disk of what is pinned: manifests may lie about a size, and the most that one says counts. */
  #bytesNamed(digest: Digest): number {
    return sizeOnDisk(Number(this.#statements.selectSize.get(digest)?.size ?? 0));
  }

  /** In a transaction of its own, or as part of one that is open. @param durability of what is acknowledged: it survives power loss too */
  #change(work: () => void, durability: 'FULL' | 'NORMAL' = 'FULL'): void {
    const { database } = this.#options;
    if (database.isTransaction) {
      work();
      return;
    }
    try {
      transact(database, work, durability);
    } catch (error) {
      this.recount();
      throw error instanceof PinBudgetError ? error : new StorageError('noting pins', error);
    }
  }
}

/** No digest. */
const HELD = '';
/** What is let go of in one transaction: some milliseconds. */
const HELD_AT_ONCE = 200;

function union(a: Pin['platforms'], b: Pin['platforms']): Pin['platforms'] {
  return a === 'all' || b === 'all' ? 'all' : [...new Set([...a, ...b])].sort();
}

function toPin(row: Record<string, unknown>): Pin {
  const platforms = String(row.platforms);
  return {
    repository: { upstream: String(row.upstream), name: String(row.repository) as RepositoryName['name'] },
    reference: String(row.reference),
    origin: String(row.origin),
    platforms: platforms === 'all' ? platforms : platforms.split(',').filter((platform) => platform !== ''),
    withReferrers: row.with_referrers === 1,
    digest: String(row.digest) as Digest,
    pinnedAtMs: Number(row.pinned_at),
  };
}

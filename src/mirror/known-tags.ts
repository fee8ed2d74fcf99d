/** Owns what is known about tags: in memory for those in use, in the catalog for those whose manifest is stored. */
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import type { Doubt } from '../outcome.ts';
import type { Catalog } from '../store/catalog.ts';
import type { KnownTag } from './freshness.ts';
import { keyOf, type Place, repositoryOf } from './place.ts';

const MAX_HOT_TAGS = 20_000;

/**
 * The catalog keeps a tag only as long as its manifest is stored. A tag that is known by HEAD alone is kept in
 * memory, and noted when its manifest comes (`stored`): Docker asks HEAD by tag, then GET by digest.
 */
export class KnownTags {
  readonly #catalog: Catalog;
  readonly #now: () => number;
  readonly #hot = new LRUCache<string, KnownTag>({ max: MAX_HOT_TAGS });
  readonly #awaited = new LRUCache<string, Tag>({ max: MAX_HOT_TAGS });

  constructor(catalog: Catalog, now: () => number) {
    this.#catalog = catalog;
    this.#now = now;
  }

  /** @returns what is known of a tag. Cheap, for the path of every hit */
  get(place: Place, tag: Tag): KnownTag | undefined {
    const key = keyOf(place, tag);
    const hot = this.#hot.get(key);
    if (hot) return hot;
    const noted = this.noted(place, tag);
    if (noted) this.#hot.set(key, noted);
    return noted;
  }

  /** @returns what the catalog knows: the last of what the tag was that was stored */
  noted(place: Place, tag: Tag): KnownTag | undefined {
    return this.#catalog.tag(repositoryOf(place), tag);
  }

  /** Upstream has said what a tag is. A word that was overtaken by another one changes nothing. */
  learn(place: Place, tag: Tag, state: KnownTag): void {
    const known = this.#hot.get(keyOf(place, tag));
    if (known && known.checkedAtMs > state.checkedAtMs && known.checkedAtMs <= this.#now()) return;
    this.#hot.set(keyOf(place, tag), state);
    this.#catalog.setTag(repositoryOf(place), tag, state);
  }

  /** A person says what a tag is: whatever was said of it before, and whenever, does not count. */
  adopt(place: Place, tag: Tag, state: KnownTag): void {
    this.#hot.set(keyOf(place, tag), state);
    this.#catalog.setTag(repositoryOf(place), tag, state);
  }

  /** HEAD has said that the tag is this digest: its manifest may be asked for next, by digest. */
  awaitManifest(place: Place, tag: Tag, digest: Digest): void {
    this.#awaited.set(keyOf(place, digest), tag);
  }

  /** @returns the tag that is this digest as HEAD has said, where the manifest has not come since */
  awaiting(place: Place, digest: Digest): Tag | undefined {
    const tag = this.#awaited.get(keyOf(place, digest));
    return tag && this.#hot.get(keyOf(place, tag))?.digest === digest ? tag : undefined;
  }

  /** A manifest has come into the store: `tag`, or the one under which it was asked about, is noted with it. */
  stored(place: Place, digest: Digest, tag = this.awaiting(place, digest)): void {
    const known = tag && this.#hot.get(keyOf(place, tag));
    if (!tag || known?.digest !== digest) return;
    this.#catalog.setTag(repositoryOf(place), tag, known);
    this.#awaited.delete(keyOf(place, digest));
  }

  /** What is known is served for so long as `as`, and upstream is not asked. */
  pause(place: Place, tag: Tag, known: KnownTag, as: Doubt, forMs: number): void {
    this.#hot.set(keyOf(place, tag), { ...known, pause: { as, untilMs: this.#now() + forMs } });
  }

  /** The next who asks is to wait for upstream's word. */
  contest(place: Place, tag: Tag): void {
    const known = this.get(place, tag);
    if (known) this.#hot.set(keyOf(place, tag), { ...known, isContested: true });
  }

  forget(place: Place, tag: Tag): void {
    this.#hot.delete(keyOf(place, tag));
    this.#catalog.deleteTag(repositoryOf(place), tag);
  }

  /** Forgets the tags that are a digest which upstream does not have any more. Rare: it looks through all. */
  forgetDigest(place: Place, digest: Digest): void {
    const prefix = keyOf(place, '');
    for (const [key, known] of this.#hot.entries()) {
      if (known.digest === digest && key.startsWith(prefix)) this.#hot.delete(key);
    }
  }
}

/** Owns what a tag is: as fresh as upstream lets it be, and whether a client waits until that is known. */
import type { Digest } from '../oci/digest.ts';
import type { Tag } from '../oci/reference.ts';
import { offlineUnknown, RegistryError } from '../oci/registry-error.ts';
import { SingleFlight } from '../single-flight.ts';
import {
  type Asker,
  AskingTags,
  type AskingTagsOptions,
  type FetchedTag,
  type Resolution,
  stale,
} from './asking-tags.ts';
import { Behind } from './behind.ts';
import { decideTag, isWithin, type KnownTag } from './freshness.ts';
import { ttlOf } from './patterns.ts';
import { keyOf, nameOf, type Place } from './place.ts';

export interface TagsOptions extends AskingTagsOptions {
  isOffline: () => boolean;
  /** told when confirming behind has failed in a way that the next client is told of */
  failedBehind: (reference: string, error: unknown) => void;
}

const MAX_BEHIND = 64;

export class Tags {
  readonly #options: TagsOptions;
  readonly #asking: AskingTags;
  readonly #resolving = new SingleFlight<Resolution>();
  readonly #fetching = new SingleFlight<FetchedTag>();
  readonly #behind: Behind;

  constructor(options: TagsOptions) {
    this.#options = options;
    this.#asking = new AskingTags(options);
    this.#behind = new Behind(MAX_BEHIND, options.failedBehind);
  }

  /**
   * @param wantsBody false: nothing is fetched that counts against a pull limit
   * @throws RegistryError, UpstreamError
   */
  async resolve(place: Place, tag: Tag, wantsBody: boolean): Promise<Resolution> {
    const { tags, byDigest, isOffline, now } = this.#options;
    const { upstream, repository } = place;
    if (isOffline()) return await this.#offline(place, tag);
    const known = tags.get(place, tag);
    const ttlMs = ttlOf(upstream, repository, tag);
    const decision = decideTag(known, now(), ttlMs, upstream, false);
    if (known && (decision === 'fresh' || decision === 'ahead')) {
      if (decision === 'ahead') this.#confirmBehind(place, tag, known);
      return { known, outcome: 'hit' };
    }
    // What is served without upstream's word must be here: who is told a digest asks for it next.
    const isAsked = decision === 'confirm' || decision === 'unknown';
    if (known && !isAsked && (await byDigest.isServable(place, known.digest))) {
      if (decision === 'stale') return stale(known, known.pause?.as ?? 'unconfirmed');
      this.#confirmBehind(place, tag, known);
      return { known, outcome: 'hit', overdueMs: now() - known.checkedAtMs - ttlMs };
    }
    return await this.#ask(place, tag, known, wantsBody ? 'reader' : 'looker');
  }

  /**
   * Fetches the tag itself, whatever is known about it; one download for all who ask.
   * @throws RegistryError, UpstreamError
   */
  async fetch(place: Place, tag: Tag, asker: 'reader' | 'nobody' = 'reader'): Promise<FetchedTag> {
    const work = (): Promise<FetchedTag> => this.#asking.fetch(place, tag, asker);
    return await this.#fetching.run(`${asker} ${keyOf(place, tag)}`, work).result;
  }

  /**
   * What a tag is by upstream's word, for nobody: the reserve of a pull limit is not spent, nor a pull on what is here
   * under another name.
   * @param sinceMs what upstream said before, ms since the epoch, does not do, however long its word holds for clients
   * @throws RegistryError, UpstreamError, also where what is known could be served
   */
  async follow(place: Place, tag: Tag, sinceMs: number): Promise<Resolution> {
    const { tags, absences, isOffline, now } = this.#options;
    if (isOffline()) return await this.#offline(place, tag);
    const known = tags.get(place, tag);
    const ttlMs = ttlOf(place.upstream, place.repository, tag);
    const isNew = known !== undefined && known.checkedAtMs >= sinceMs;
    if (isNew && isWithin(ttlMs, known.checkedAtMs, now())) return { known, outcome: 'hit' };
    const key = keyOf(place, tag);
    absences.check(key);
    const work = (): Promise<Resolution> =>
      known ? this.#asking.confirm(place, tag, known, 'nobody') : this.#asking.look(place, tag, 'nobody');
    const resolution = await this.#resolving.run(`nobody ${key}`, work).result;
    if (resolution.failure !== undefined) throw resolution.failure;
    return resolution;
  }

  /** A person says what a tag is, whatever upstream said of it. */
  adopt(place: Place, tag: Tag, state: KnownTag): void {
    const { tags, absences } = this.#options;
    for (const known of [tag, state.digest]) absences.forget(keyOf(place, known));
    tags.adopt(place, tag, state);
  }

  /** A person has it forgotten. */
  forget(place: Place, tag: Tag): void {
    this.#options.tags.forget(place, tag);
  }

  /** A manifest that could not be had: the tag by which a client knows of it is what it was before. */
  async missed(place: Place, digest: Digest): Promise<void> {
    const tag = this.#options.tags.awaiting(place, digest);
    if (tag) await this.#asking.fallBack(place, tag);
  }

  /** @returns what a tag was whose manifest cannot be had, and is from now on; undefined where that is not here */
  async fallBack(place: Place, tag: Tag): Promise<KnownTag | undefined> {
    return await this.#asking.fallBack(place, tag);
  }

  /** Resolves when nothing is confirmed behind any more of what is now. */
  async settled(): Promise<void> {
    await this.#behind.settled();
  }

  async #offline(place: Place, tag: Tag): Promise<Resolution> {
    const last = await this.#asking.lastServable(place, tag);
    if (!last) throw offlineUnknown(nameOf(place, { kind: 'tag', tag }), 'MANIFEST_UNKNOWN');
    const ttlMs = ttlOf(place.upstream, place.repository, tag);
    const isFresh = decideTag(last, this.#options.now(), ttlMs, place.upstream, true) === 'fresh';
    return isFresh ? { known: last, outcome: 'hit' } : stale(last, 'unconfirmed');
  }

  async #ask(place: Place, tag: Tag, known: KnownTag | undefined, asker: Asker): Promise<Resolution> {
    const key = keyOf(place, tag);
    this.#options.absences.check(key);
    const { result, joined } = this.#resolving.run(`${known ? 'confirm' : asker} ${key}`, async () => {
      if (known) return await this.#asking.confirm(place, tag, known, asker);
      if (asker === 'looker') return await this.#asking.look(place, tag);
      return await this.#asking.fetch(place, tag, asker);
    });
    const resolution = await result;
    return joined && resolution.outcome === 'miss' ? { ...resolution, outcome: 'coalesced' } : resolution;
  }

  #confirmBehind(place: Place, tag: Tag, known: KnownTag): void {
    const { tags, byDigest } = this.#options;
    this.#behind.begin(nameOf(place, { kind: 'tag', tag }), async () => {
      try {
        // Who asked by HEAD alone so far has no use for the manifest.
        const isHere = await byDigest.isServable(place, known.digest);
        await this.#asking.confirm(place, tag, known, isHere ? 'nobody' : 'looker');
      } catch (error) {
        if (error instanceof RegistryError && error.status === 404) return; // forgotten: the next one is told
        tags.contest(place, tag);
        throw error;
      }
    });
  }
}

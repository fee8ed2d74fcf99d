/** Owns which repositories may be served to whoever reaches the mirror: what everybody is given, and what is listed. */
import { LRUCache } from 'lru-cache';
import { parseReference, type Reference } from '../oci/reference.ts';
import { notPublic, offlineUnknown, type RegistryError } from '../oci/registry-error.ts';
import { SingleFlight } from '../single-flight.ts';
import type { Catalog } from '../store/catalog.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { Absences } from './absences.ts';
import { cannotSay, toRegistryError } from './failures.ts';
import { isWithin } from './freshness.ts';
import { isListed } from './patterns.ts';
import { type Place, repositoryOf } from './place.ts';
import { absenceOf, strangersQuestion, type Wish, wishName } from './wish.ts';

export interface VisibilityOptions {
  catalog: Catalog;
  isOffline: () => boolean;
  now: () => number;
}

/** What upstream said of a repository, when a stranger asked. */
interface Word {
  isPublic: boolean;
  /** ms since the epoch */
  atMs: number;
  /** whether it is in the catalog, for the next start */
  isNoted: boolean;
  /** when upstream could not say: it is not asked for a while */
  askedInVainAtMs?: number;
}

/**
 * In the place of a time: nobody but whoever carried the repository's content here has said that it is for everybody.
 * That counts while upstream is not asked (offline), and no longer.
 */
export const CARRIED_AT_MS = 1;

/** `absent` is about the path that was asked for, `public` and `private` about the repository. */
type Answer = { path: string; word: 'public' | 'private' | 'absent' };

const MAX_WORDS = 10_000;
/** For so long a repository that is made public stays refused, and what was deleted is not looked for again. */
const BRIEF_MS = 60_000;
const ASK_AGAIN_AFTER_MS = 10_000;

/** What upstream gives to hubcap's credentials alone is not for others; `private` lists what is for them all the same. */
export class Visibility {
  readonly #options: VisibilityOptions;
  readonly #words = new LRUCache<string, Word>({ max: MAX_WORDS });
  /** of which nothing is noted: a hit need not look into the catalog to find that out again */
  readonly #unsaid = new LRUCache<string, true>({ max: MAX_WORDS });
  readonly #asking = new SingleFlight<Answer>();
  readonly #looking = new SingleFlight<boolean>();
  /** what neither strangers nor hubcap's credentials are given any more, and when that was said */
  readonly #gone = new LRUCache<string, number>({ max: MAX_WORDS });
  readonly #absences: Absences;

  constructor(options: VisibilityOptions) {
    this.#options = options;
    this.#absences = new Absences(options.now);
  }

  /** @returns whether the repository is known to be for everybody, without asking. Cheap, for the path of every hit */
  isOpen(place: Place): boolean {
    const { upstream, repository } = place;
    const word = this.#words.get(pathOf(place)) ?? this.#recall(place);
    // What came by credentials that are gone by now is still here.
    if (!upstream.client.hasCredentials && word?.isPublic !== false) return true;
    if (word?.isPublic && isWithin(upstream.publicTtlMs, word.atMs, this.#options.now())) return true;
    return isListed(upstream.private, repository);
  }

  /**
   * Nothing of a repository is served, told or fetched before this: neither what is stored, nor from a running
   * download. Once public, a repository is so until upstream says otherwise.
   * @throws RegistryError where the repository is not for everybody, or upstream cannot say and never has
   */
  async check(place: Place, wish: Wish): Promise<void> {
    if (this.isOpen(place)) return;
    const { isOffline, now } = this.#options;
    const word = this.#words.get(pathOf(place));
    if (isOffline()) {
      if (word?.isPublic) return;
      throw offlineUnknown(wishName(place, wish), wish.kind === 'blob' ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN');
    }
    const isPublic = word?.isPublic === true && !isCarried(word);
    if (isPublic) {
      const { askedInVainAtMs: atMs } = word;
      const isQuiet = atMs !== undefined && isWithin(ASK_AGAIN_AFTER_MS, atMs, now());
      if (isQuiet || isWithin(place.upstream.publicTtlMs, word.atMs, now())) return;
    } else if (word && isWithin(BRIEF_MS, word.atMs, now())) throw refusal(place);
    this.#absences.check(wishName(place, wish));
    await this.#ask(place, wish, isPublic);
  }

  /**
   * Does what was asked for, for somebody who is let in.
   * @param discard what is done with what came for nobody
   * @throws RegistryError as `check`, and what `work` throws
   */
  async during<T>(
    place: Place,
    wish: () => Wish,
    work: () => Promise<T>,
    discard?: (result: T) => void,
  ): Promise<T> {
    const { client } = place.upstream;
    if (!this.isOpen(place)) await this.check(place, wish());
    const result = await work();
    if (place.upstream.client === client) return result;
    // The configuration was loaded again: what others' credentials brought is not for whoever was let in without.
    try {
      await this.check(place, wish());
      return result;
    } catch (error) {
      discard?.(result);
      throw error;
    }
  }

  /** @returns whether what is held of the repository would be served now; without asking, for lists of them */
  isServable(place: Place): boolean {
    if (this.isOpen(place)) return true;
    const word = this.#words.get(pathOf(place));
    return word?.isPublic === true && (!isCarried(word) || this.#options.isOffline());
  }

  /**
   * Upstream has given something of the repository. What it gives to a stranger is for everybody, and is noted as
   * such: credentials that come later do not refuse it. What it gives to credentials is noted too: it is not for
   * everybody when they are gone.
   * @param client who was asked: by now the place may have one with other credentials
   */
  granted(place: Place, client: Upstream): void {
    const word = this.#words.get(pathOf(place)) ?? this.#recall(place);
    // Whoever carried content here has said nothing of what upstream gives.
    const isSaid = word !== undefined && (word.isPublic ? !isCarried(word) : client.hasCredentials);
    if (isSaid && !word.isNoted) this.#learn(place, word.isPublic, word.atMs);
    if (isSaid) return;
    // A download may have gone on with the credentials of the client that came after.
    if (client.hasCredentials || client !== place.upstream.client) this.#learn(place, false, 0);
    else if (client.isStranger) this.#learn(place, true, this.#options.now());
  }

  /** The catalog knows the repository now: what was said of it before can be noted. */
  noted(place: Place): void {
    const word = this.#words.get(pathOf(place));
    if (word && !word.isNoted) this.#learn(place, word.isPublic, word.atMs);
  }

  /** Content of the repository was carried here: the catalog may say now what it did not before. */
  carried(place: Place): void {
    this.#unsaid.delete(pathOf(place));
    if (!this.#words.has(pathOf(place))) this.#recall(place);
  }

  async #ask(place: Place, wish: Wish, wasPublic: boolean): Promise<void> {
    const { upstream } = place;
    try {
      const { word } = await this.#answer(place, wish, wasPublic ? upstream.confirmMs : undefined);
      if (word === 'private') throw refusal(place);
      if (word === 'absent' && !(wasPublic && (await this.#isGone(place, wish)))) {
        throw this.#absences.remember(wishName(place, wish), absenceOf(place, wish), upstream.notFoundTtlMs);
      }
    } catch (error) {
      const word = this.#words.get(pathOf(place));
      if (!cannotSay(error) || !word?.isPublic || isCarried(word))
        throw toRegistryError(wishName(place, wish), error);
      this.#words.set(pathOf(place), { ...word, askedInVainAtMs: this.#options.now() });
    }
  }

  /** One question for all who ask about a repository. Absence is an answer for those alone who asked for that path. */
  async #answer(place: Place, wish: Wish, deadlineMs?: number): Promise<Answer> {
    const { path } = wish;
    const question = async (): Promise<Answer> => {
      const asked = strangersQuestion(wish);
      const atMs = this.#options.now();
      const word = await place.upstream.client.isPublic(place.repository, asked.kind, asked.path, deadlineMs);
      if (word !== 'absent') this.#learn(place, word === 'public', atMs);
      return { path, word };
    };
    const answer = await this.#asking.run(pathOf(place), question).result;
    if (answer.word !== 'absent' || answer.path === path) return answer;
    return await this.#asking.run(`${pathOf(place)} ${path}`, question).result; // a path is no name of a repository
  }

  /**
   * What was public is not there for strangers any more. Where upstream does not give it to hubcap's credentials
   * either it was deleted, and the repository hides nothing; what is known of it is served by the rules for that.
   * What is not known is absent: to look for it with credentials might find what was pushed since, for them alone.
   */
  async #isGone(place: Place, { kind, path }: Wish): Promise<boolean> {
    const { now } = this.#options;
    const { client, confirmMs } = place.upstream;
    const reference = parseReference(path.slice(path.indexOf('/') + 1));
    if (!reference || !this.#isKnown(place, reference) || (kind !== 'manifest' && kind !== 'blob'))
      return false;
    const key = `${pathOf(place)}/${path}`;
    const goneAtMs = this.#gone.get(key);
    if (goneAtMs !== undefined && isWithin(BRIEF_MS, goneAtMs, now())) return true;
    return await this.#looking.run(key, async () => {
      const found =
        kind === 'manifest'
          ? await client.headManifest(place.repository, reference, confirmMs)
          : reference.kind === 'digest' &&
            (await client.headBlob(place.repository, reference.digest, confirmMs));
      if (found) this.#forget(place);
      else this.#gone.set(key, now());
      return !found;
    }).result;
  }

  #isKnown(place: Place, reference: Reference): boolean {
    const { catalog } = this.#options;
    if (reference.kind === 'digest') return catalog.holds(repositoryOf(place), reference.digest);
    return catalog.tag(repositoryOf(place), reference.tag) !== undefined;
  }

  #learn(place: Place, isPublic: boolean, atMs: number): void {
    this.#unsaid.delete(pathOf(place));
    const isNoted = this.#options.catalog.setPublicAt(repositoryOf(place), isPublic ? atMs : 0);
    this.#words.set(pathOf(place), { isPublic, atMs, isNoted });
  }

  /** It is not known to be public any more, nor said to be private: that would tell that there is something. */
  #forget(place: Place): void {
    this.#unsaid.delete(pathOf(place));
    this.#options.catalog.setPublicAt(repositoryOf(place), 0);
    this.#words.delete(pathOf(place));
  }

  #recall(place: Place): Word | undefined {
    const path = pathOf(place);
    if (this.#unsaid.has(path)) return undefined;
    const atMs = this.#options.catalog.publicAt(repositoryOf(place));
    if (atMs === undefined) {
      this.#unsaid.set(path, true);
      return undefined;
    }
    const word = { isPublic: atMs > 0, atMs, isNoted: true };
    this.#words.set(path, word);
    return word;
  }
}

function isCarried({ atMs }: Word): boolean {
  return atMs === CARRIED_AT_MS;
}

function refusal({ upstream, repository }: Place): RegistryError {
  return notPublic(upstream.host, repository);
}

function pathOf({ upstream, repository }: Place): string {
  return `${upstream.host}/${repository}`;
}

/** Owns what hubcap knows about its content: tags, what a repository holds, what a manifest names. */
import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest.ts';
import type { Descriptor, Manifest } from '../oci/manifest.ts';
import type { Repository, Tag } from '../oci/reference.ts';
import { type CatalogStatements, prepareCatalog } from './catalog-statements.ts';
import { StorageError } from './errors.ts';
import { transact } from './transaction.ts';

/** A repository below an upstream; the same name below two upstreams is two repositories. */
export interface RepositoryName {
  /** the upstream's host, as clients name it */
  upstream: string;
  name: Repository;
}

export interface TagState {
  digest: Digest;
  mediaType: string;
  /** bytes of the manifest, undefined where upstream has not said */
  size: number | undefined;
  /** when upstream last said that the tag is this digest; ms since the epoch */
  checkedAtMs: number;
}

/** An image that was carried here. */
export interface AdoptedImage {
  repository: RepositoryName;
  tag: Tag | undefined;
  digest: Digest;
  mediaType: string;
  /** of the manifest, bytes */
  size: number;
  /** all that belongs to it and is stored, itself too */
  contents: readonly Digest[];
}

export interface ImageRow {
  upstream: string;
  repository: string;
  /** undefined for a manifest that is only known by digest */
  tag: string | undefined;
  digest: Digest;
  mediaType: string;
  checkedAtMs: number | undefined;
}

export interface LinkRow {
  child: Digest;
  role: Descriptor['role'];
  /** bytes, as the manifest says */
  size: number;
  platform: string | undefined;
  /** whether it is kept elsewhere, and no registry need hold it */
  isForeign: boolean;
  /** whether the child is on disk */
  stored: boolean;
}

/** Point reads cost microseconds (SQLite in this process); callers on the hot path keep what they read. */
export class Catalog {
  readonly #database: DatabaseSync;
  readonly #repositoryIds = new LRUCache<string, number>({ max: 10_000 });
  /** repositories of whose manifests all is noted: looking through them once is enough */
  readonly #withSubjects = new LRUCache<number, true>({ max: 10_000 });
  readonly #statements: CatalogStatements;
  readonly #writeFailed: (error: unknown) => void;

  /** @param writeFailed told instead of an exception: who can be served is, whether or not it can be noted */
  constructor(database: DatabaseSync, writeFailed: (error: unknown) => void) {
    this.#database = database;
    this.#writeFailed = writeFailed;
    this.#statements = prepareCatalog(database);
  }

  /** @returns what the tag was when it was last asked for, undefined where it is not known */
  tag(repository: RepositoryName, tag: Tag): TagState | undefined {
    const row = this.#statements.selectTag.get(this.#idOf(repository), tag);
    if (!row) return undefined;
    return {
      digest: String(row.digest) as Digest,
      mediaType: String(row.media_type),
      size: row.size === null ? undefined : Number(row.size),
      checkedAtMs: Number(row.checked_at),
    };
  }

  /** Notes what upstream said a tag is, where that manifest is stored: the tag goes with it. */
  setTag(repository: RepositoryName, tag: Tag, state: TagState): void {
    const { digest, mediaType, size, checkedAtMs } = state;
    this.#write(() => {
      const id = this.#makeId(repository);
      this.#statements.upsertTag.run(id, tag, digest, mediaType, size ?? null, checkedAtMs);
    });
  }

  /** Forgets a tag that upstream no longer has. */
  deleteTag(repository: RepositoryName, tag: Tag): void {
    this.#write(() => this.#statements.deleteTag.run(this.#idOf(repository), tag));
  }

  /** @returns up to `limit` tags of the repository after `last`, in order */
  tags(repository: RepositoryName, last: string, limit: number): string[] {
    return this.#statements.listTags.all(this.#idOf(repository), last, limit).map((row) => String(row.tag));
  }

  /** @returns up to `limit` repositories with content after `last`, as `upstream/name`, in order */
  repositories(last: string, limit: number): string[] {
    return this.#statements.listRepositories.all(last, limit).map((row) => String(row.path));
  }

  /** @returns whether the repository was proven to hold the digest */
  holds(repository: RepositoryName, digest: Digest): boolean {
    return this.provenAt(repository, digest) !== undefined;
  }

  /** @returns when the repository was last proven to hold the digest, ms since the epoch */
  provenAt(repository: RepositoryName, digest: Digest): number | undefined {
    const row = this.#statements.selectHolding.get(this.#idOf(repository), digest);
    return row && Number(row.proven_at);
  }

  /** Notes that upstream proved that the repository holds the digest. @returns false where it is not stored */
  grant(repository: RepositoryName, digest: Digest, nowMs: number): boolean {
    const noted = this.#write(() => {
      const id = this.#makeId(repository);
      if (this.#withSubjects.has(id) && this.#statements.selectWithoutSubject.get(digest))
        this.#withSubjects.delete(id); // it was stored by an earlier version, for another repository
      return this.#statements.upsertHolding.run(id, digest, nowMs);
    });
    return noted !== undefined && noted.changes > 0;
  }

  /** Forgets that the repository holds the digest, and the tags of it that are that digest. */
  revoke(repository: RepositoryName, digest: Digest): void {
    this.#write(() => {
      const id = this.#idOf(repository);
      this.#statements.deleteHolding.run(id, digest);
      this.#statements.deleteTagsOf.run(id, digest);
    });
  }

  /**
   * @returns when upstream last gave something of the repository to a stranger, ms since the epoch; 0 where it is
   *   known to be given to hubcap's credentials alone, undefined where nothing is known
   */
  publicAt(repository: RepositoryName): number | undefined {
    const at = this.#statements.selectPublicAt.get(this.#idOf(repository))?.public_at;
    return at === undefined || at === null ? undefined : Number(at);
  }

  /**
   * Notes when strangers were given what is in the repository, or (0) that they are not.
   * @returns false where the catalog knows no such repository yet
   */
  setPublicAt(repository: RepositoryName, atMs: number): boolean {
    const noted = this.#write(() => this.#statements.updatePublicAt.run(atMs, this.#idOf(repository)));
    return noted !== undefined && noted.changes > 0;
  }

  /**
   * Notes images that were carried here, all or none: what their repositories hold and what their tags are.
   * @param carriedAtMs in the place of when a stranger was given something of a repository of which nothing is known;
   *   undefined leaves that unknown
   * @param alongside what else is written in the same transaction
   * @throws StorageError
   */
  adopt(
    images: readonly AdoptedImage[],
    nowMs: number,
    carriedAtMs: number | undefined,
    alongside: () => void = () => undefined,
  ): void {
    this.#durably(() => {
      for (const { repository, tag, digest, mediaType, size, contents } of images) {
        const id = this.#makeId(repository);
        for (const content of contents) this.#statements.upsertHolding.run(id, content, nowMs);
        if (tag !== undefined) this.#statements.upsertTag.run(id, tag, digest, mediaType, size, nowMs);
        this.#statements.insertPublicAt.run(carriedAtMs ?? null, id);
        this.#withSubjects.delete(id);
      }
      alongside();
    });
  }

  /** @returns repositories that were proven to hold the digest, up to `limit` */
  holders(digest: Digest, limit: number): RepositoryName[] {
    return this.#statements.listHolders
      .all(digest, limit)
      .map(({ upstream, name }) => ({ upstream: String(upstream), name: String(name) as Repository }));
  }

  /** @returns how many tags are the digest, of whatever repository */
  tagsOf(digest: Digest): number {
    return Number(this.#statements.countTagsOf.get(digest)?.tags);
  }

  /** @returns whether a tag of the repository is the digest */
  isTagged(repository: RepositoryName, digest: Digest): boolean {
    return this.#statements.selectTagOf.get(this.#idOf(repository), digest) !== undefined;
  }

  /** @returns what a stored manifest refers to (image-spec, `subject`), undefined where that is nothing */
  subject(digest: Digest): Digest | undefined {
    const subject = String(this.#statements.selectSubject.get(digest)?.subject ?? '');
    return subject === '' ? undefined : (subject as Digest);
  }

  /** @returns stored manifests that name the digest, up to `limit` */
  parents(digest: Digest, limit: number): Digest[] {
    return this.#statements.listParents.all(digest, limit).map(({ parent }) => String(parent) as Digest);
  }

  /** @returns whether a manifest that the repository holds names the digest (as content, not as a foreign layer) */
  isNamed(repository: RepositoryName, digest: Digest): boolean {
    return this.namedAt(repository, digest) !== undefined;
  }

  /** @returns when the repository was last proven to hold a manifest that names the digest, ms since the epoch */
  namedAt(repository: RepositoryName, digest: Digest): number | undefined {
    const at = this.#statements.selectNamed.get(this.#idOf(repository), digest)?.at;
    return at === undefined || at === null ? undefined : Number(at);
  }

  /** Notes a stored manifest and what it names. */
  addManifest(digest: Digest, manifest: Manifest): void {
    this.#write(() => transact(this.#database, () => this.#insertManifest(digest, manifest)));
  }

  /** @returns the media type that a stored manifest is served as, undefined where the digest is no known manifest */
  manifestType(digest: Digest): string | undefined {
    const row = this.#statements.selectManifest.get(digest);
    return row && String(row.media_type);
  }

  /**
   * Every manifest that is held but has no tag and no parent, and every tag, by repository. Read a page at a time: no
   * statement stays open while the caller does something else, and none looks through more than a page.
   */
  *images(): Generator<ImageRow> {
    const { pageRepositories, pageHoldings, pageTags } = this.#statements;
    const repositories = paged(pageRepositories, [], ['upstream', 'name']);
    for (const { id, upstream, name } of repositories) {
      const repository = { upstream: String(upstream), repository: String(name) };
      for (const row of paged(pageHoldings, [Number(id)], ['digest']))
        if (row.is_lone === 1) yield { ...repository, ...toImage(row) };
      for (const row of paged(pageTags, [Number(id)], ['tag'])) yield { ...repository, ...toImage(row) };
    }
  }

  /** @returns what a manifest names, in order */
  links(parent: Digest): LinkRow[] {
    return this.#statements.selectLinks.all(parent).map((row) => ({
      child: String(row.child) as Digest,
      role: String(row.role) as Descriptor['role'],
      size: Number(row.size),
      platform: row.platform === null ? undefined : String(row.platform),
      isForeign: row.is_foreign === 1,
      stored: row.stored !== null,
    }));
  }

  /** @returns up to `limit` manifests after `last` that the repository holds and that refer to `subject`, in order */
  referrers(repository: RepositoryName, subject: Digest, last: string, limit: number): Digest[] {
    const rows = this.#statements.listReferrers.all(subject, this.#idOf(repository), last, limit);
    return rows.map((row) => String(row.digest) as Digest);
  }

  /** @returns up to `limit` manifests of the repository of which an earlier version did not note what they refer to */
  withoutSubject(repository: RepositoryName, limit: number): Digest[] {
    const id = this.#idOf(repository);
    if (this.#withSubjects.has(id)) return [];
    const rows = this.#statements.listWithoutSubject.all(id, limit);
    if (rows.length === 0) this.#withSubjects.set(id, true);
    return rows.map((row) => String(row.digest) as Digest);
  }

  #insertManifest(digest: Digest, manifest: Manifest): void {
    this.#statements.upsertManifest.run(digest, manifest.mediaType);
    this.#statements.upsertSubject.run(digest, manifest.subject?.digest ?? '');
    manifest.children.forEach(({ digest: child, role, size, foreign, platform }, position) => {
      const text =
        platform && [platform.os, platform.architecture, platform.variant].filter(Boolean).join('/');
      this.#statements.upsertLink.run(digest, position, child, role, size, foreign ? 1 : 0, text ?? null);
    });
  }

  /** One transaction, which survives power loss too. */
  #durably(work: () => void): void {
    try {
      transact(this.#database, work, 'FULL');
    } catch (error) {
      this.#repositoryIds.clear(); // some may be of rows that are not there: another repository would get their id
      throw new StorageError('writing the catalog', error);
    }
  }

  #write<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      this.#writeFailed(error);
      return undefined;
    }
  }

  /** Also before anything is stored: that a repository is not for everybody is noted before its first byte. */
  #makeId(repository: RepositoryName): number {
    const known = this.#idOf(repository);
    if (known !== NO_REPOSITORY) return known;
    this.#statements.insertRepository.run(repository.upstream, repository.name);
    return this.#idOf(repository);
  }

  #idOf({ upstream, name }: RepositoryName): number {
    const key = `${upstream}/${name}`;
    const known = this.#repositoryIds.get(key);
    if (known !== undefined) return known;
    const row = this.#statements.selectRepository.get(upstream, name);
    if (!row) return NO_REPOSITORY;
    this.#repositoryIds.set(key, Number(row.id));
    return Number(row.id);
  }
}

const PAGE_ROWS = 500;

type Row = Record<string, SQLOutputValue>;

/**
 * All rows of a statement that takes what it is about, the key of the last row that was read, and a limit.
 * @param key the columns of the key: texts, none of which is ever empty
 */
function* paged(statement: StatementSync, about: readonly number[], key: readonly string[]): Generator<Row> {
  let after = key.map(() => '');
  for (;;) {
    const rows = statement.all(...about, ...after, PAGE_ROWS);
    yield* rows;
    const end = rows.at(-1);
    if (!end || rows.length < PAGE_ROWS) return;
    after = key.map((column) => String(end[column]));
  }
}

function toImage(row: Row): Omit<ImageRow, 'upstream' | 'repository'> {
  const { tag, digest, media_type: mediaType, checked_at: checkedAt } = row;
  return {
    tag: tag === undefined ? undefined : String(tag),
    digest: String(digest) as Digest,
    mediaType: String(mediaType),
    checkedAtMs: checkedAt === undefined ? undefined : Number(checkedAt),
  };
}

/** Row ids start at 1. */
const NO_REPOSITORY = 0;

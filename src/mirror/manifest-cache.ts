/** Owns manifests as content: in memory, in the store, verified before the first byte is served. */
import { LRUCache } from 'lru-cache';
import { algorithmOf, type Digest, digestOf } from '../oci/digest.ts';
import { MAX_MANIFEST_BYTES, type Manifest, parseManifest } from '../oci/manifest.ts';
import type { Catalog } from '../store/catalog.ts';
import type { DiskStore } from '../store/disk-store.ts';
import { StorageError } from '../store/errors.ts';

export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  body: Buffer;
}

const MAX_MEMORY_BYTES = 64 * 1024 * 1024;
/** What an entry costs beside its body. */
const ENTRY_BYTES = 512;

export class ManifestCache {
  readonly #store: DiskStore;
  readonly #catalog: Catalog;
  readonly #hot = new LRUCache<Digest, StoredManifest>({
    maxSize: MAX_MEMORY_BYTES,
    sizeCalculation: ({ body }) => body.length + ENTRY_BYTES,
  });

  constructor(store: DiskStore, catalog: Catalog) {
    this.#store = store;
    this.#catalog = catalog;
  }

  /** @returns the manifest where it is in memory; notes the use. Cheap, for the path of every hit */
  hot(digest: Digest): StoredManifest | undefined {
    const manifest = this.#hot.get(digest);
    if (manifest) this.#store.use(digest);
    return manifest;
  }

  /** @returns the manifest, from memory or disk, undefined where it is not stored */
  async get(digest: Digest): Promise<StoredManifest | undefined> {
    const hot = this.hot(digest);
    if (hot) return hot;
    const body = await this.#read(digest);
    if (!body) return undefined;
    const mediaType = this.#catalog.manifestType(digest) ?? this.#relearn(digest, body);
    if (mediaType === undefined) return undefined;
    return this.#keep({ digest, mediaType, body });
  }

  /**
   * Takes in what upstream sent.
   * @param wanted the digest that was asked for, undefined for a tag
   * @returns the manifest and whether it is on disk; undefined where the bytes are not what was asked for
   */
  async add(
    body: Buffer,
    contentType: string | undefined,
    wanted: Digest | undefined,
  ): Promise<{ manifest: StoredManifest; isStored: boolean } | undefined> {
    const digest = digestOf(body, wanted ? algorithmOf(wanted) : 'sha256');
    const parsed = parseManifest(body, contentType);
    if (!parsed || (wanted && digest !== wanted)) return undefined;
    const isStored = await this.#put(digest, body, parsed);
    return { manifest: this.#keep({ digest, mediaType: parsed.mediaType, body }), isStored };
  }

  /** A manifest that is in memory and was evicted from the disk, or never got there, is stored again. */
  async ensureStored(digest: Digest): Promise<void> {
    const hot = this.#hot.get(digest);
    if (!hot || this.#store.sizeOf(digest) !== undefined) return;
    const parsed = parseManifest(hot.body, hot.mediaType);
    if (parsed) await this.#put(digest, hot.body, parsed);
  }

  /** @returns whether the manifest is on disk, to which it is written again where it is in memory alone */
  async isStored(digest: Digest): Promise<boolean> {
    await this.ensureStored(digest);
    return await this.#store.isStored(digest);
  }

  /**
   * Has the catalog know a manifest that is on disk, and what it names.
   * @returns whether it is there, and one
   */
  async learn(digest: Digest): Promise<boolean> {
    if (this.#catalog.manifestType(digest) !== undefined) return true;
    const body = await this.#read(digest);
    return body !== undefined && this.#relearn(digest, body) !== undefined;
  }

  /** It was removed: what is in memory is not to bring it back. */
  forget(digest: Digest): void {
    this.#hot.delete(digest);
  }

  #keep(manifest: StoredManifest): StoredManifest {
    this.#hot.set(manifest.digest, manifest);
    return manifest;
  }

  async #put(digest: Digest, body: Buffer, parsed: Manifest): Promise<boolean> {
    try {
      if (!(await this.#store.put(digest, body))) return false;
    } catch (error) {
      if (error instanceof StorageError) return false; // the store has told its observer; the client is served
      throw error;
    }
    this.#catalog.addManifest(digest, parsed);
    return true;
  }

  async #read(digest: Digest): Promise<Buffer | undefined> {
    try {
      return await this.#store.readAll(digest, MAX_MANIFEST_BYTES);
    } catch (error) {
      if (error instanceof StorageError) return undefined; // as above: upstream is asked instead
      throw error;
    }
  }

  /** The catalog was lost and the file was not: what it is stands in the file. */
  #relearn(digest: Digest, body: Buffer): string | undefined {
    const parsed = parseManifest(body, undefined);
    if (parsed) this.#catalog.addManifest(digest, parsed);
    return parsed?.mediaType;
  }
}

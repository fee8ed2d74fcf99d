/** Owns how a blob that is not stored arrives: by a fill, by a running one, or past the store. */
import type { BlobReader } from '../store/blob-reader.ts';
import { PartialRefusedError, ResizedError, StorageError } from '../store/errors.ts';
import type { Fill } from '../store/fill.ts';
import { FillSources, type OpenInput } from '../store/fill-sources.ts';
import type { FillStart, Fills } from '../store/fills.ts';
import type { Passage } from '../store/passage.ts';
import { HELD_BACK_BYTES } from '../store/tail.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { type AimedReader, aheadReader, type ContentPart } from './ahead-reader.ts';
import type { BlobProofs } from './blob-proofs.ts';
import type { BlobQuestion, OpenBlob } from './blobs.ts';

export interface ArrivingBlobsOptions {
  fills: Fills;
  proofs: BlobProofs;
  isOffline: () => boolean;
  now: () => number;
}

/** Parts that are fetched beside downloads at a time, of one upstream: whole downloads need connections too. */
const MAX_PARTS = 16;

/** Clients wait 30 s for a head (containerd); upstream has had its 25 s before. */
const PROOF_PATIENCE_MS = 3_000;

export class ArrivingBlobs {
  readonly #options: ArrivingBlobsOptions;
  /** parts that are fetched beside downloads, by upstream */
  readonly #parts = new Map<string, number>();

  constructor(options: ArrivingBlobsOptions) {
    this.#options = options;
  }

  /**
   * @returns undefined where it was stored meanwhile
   * @throws RegistryError, UpstreamError, StoreClosingError; what upstream sent instead, where it is small
   */
  async open(question: BlobQuestion): Promise<OpenBlob | undefined> {
    try {
      return await this.#begin(question);
    } catch (error) {
      if (!(error instanceof ResizedError)) throw error;
      return await this.#begin(question); // no head is out yet: the second size is as good as the first
    }
  }

  async #begin(question: BlobQuestion): Promise<OpenBlob | undefined> {
    const { fills, proofs, now } = this.#options;
    const { upstream, repository, digest } = question;
    const askedAtMs = now();
    proofs.refuseAbsent(question);
    const start = await fills.begin({
      digest,
      origin: { upstream: upstream.host, repository },
      open: this.#opener(question),
      isAboutRepository: (error) => error instanceof UpstreamError && error.reason === 'denied',
    });
    if (start.kind === 'absent') throw proofs.absent(question);
    return start.kind === 'stored' ? undefined : await this.#tail(question, start, askedAtMs);
  }

  /**
   * A disk that fails in the middle does not fail its readers: they go on past the store, where what they have read
   * is proven or nothing.
   */
  withFallback(question: BlobQuestion, reader: BlobReader): BlobReader {
    let current = reader;
    let other: Promise<BlobReader> | undefined;
    let isOpen = true;
    const goOn = async (error: StorageError): Promise<BlobReader> => {
      reader.close();
      const passing = await this.#pass(question);
      if (isOpen && passing.size === reader.size) return passing;
      passing.close();
      throw error;
    };
    return {
      size: reader.size,
      skipTo: (position) => current.skipTo?.(position),
      read: async (buffer, position) => {
        if (other) current = await other;
        try {
          return await current.read(buffer, position);
        } catch (error) {
          const isDisk = error instanceof StorageError && isOpen;
          if (!isDisk || this.#options.isOffline()) throw error;
          other ??= goOn(error);
          current = await other;
          return await current.read(buffer, position);
        }
      },
      close: () => {
        isOpen = false;
        current.close();
        other?.then((passing) => passing.close()).catch(() => undefined); // told to who reads
      },
    };
  }

  async #tail(
    question: BlobQuestion,
    start: Exclude<FillStart, { kind: 'stored' | 'absent' }> & { joined: boolean },
    askedAtMs: number,
  ): Promise<OpenBlob> {
    const { proofs } = this.#options;
    const download = start.kind === 'fill' ? start.fill : start.passage;
    // The reader is taken first: the download may end while upstream is asked.
    const reader = this.#readAhead(question, download, start.kind === 'fill');
    try {
      // Joining another repository's download is no proof for this one.
      const isHeld = proofs.state(question, askedAtMs) === 'held';
      const isProven = isHeld || typeof (await proofs.prove(question, true)) === 'object';
      if (isProven && start.kind === 'fill') this.#takePart(question, start);
      await untilProvenIfSmall(reader);
    } catch (error) {
      reader.close();
      throw error;
    }
    const open = { reader, aim: reader.aim };
    if (start.kind === 'bypass') return { ...open, outcome: 'bypass', source: 'bypass' };
    const outcome = start.joined ? 'coalesced' : 'miss';
    return { ...open, outcome, source: 'fill', ended: start.ended };
  }

  /** Who is proven to hold the content can give it too, and may read it when it is stored. */
  #takePart(question: BlobQuestion, { sources, ended }: Extract<FillStart, { kind: 'fill' }>): void {
    const { upstream, repository } = question;
    sources.add({ upstream: upstream.host, repository }, this.#opener(question));
    const noted = ended.then((result) => {
      if (result === 'stored') this.#options.proofs.note(question);
    });
    noted.catch(() => undefined); // unnoted, it is asked for again after a restart
  }

  #readAhead(question: BlobQuestion, download: Fill | Passage, goesOn: boolean): AimedReader {
    const reader = download.reader();
    return aheadReader({
      reader: this.withFallback(question, reader),
      waitMs: (position) => download.waitMs(position),
      goesOn,
      fetchPart: (part, signal) => this.#fetchPart(question, part, reader.size, signal),
    });
  }

  async #fetchPart(
    { upstream, repository, digest }: BlobQuestion,
    { start, end }: ContentPart,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Buffer> | undefined> {
    const running = this.#parts.get(upstream.host) ?? 0;
    if (running >= MAX_PARTS || this.#options.isOffline()) return undefined;
    this.#parts.set(upstream.host, running + 1);
    const over = (): void => {
      this.#parts.set(upstream.host, (this.#parts.get(upstream.host) ?? 1) - 1);
    };
    signal.addEventListener('abort', over, { once: true });
    const wanted = { from: start, to: end, signal, lane: 'part' } as const;
    const download = await upstream.client.download(repository, digest, wanted);
    return download && download.size === size ? download.chunks : undefined;
  }

  /** Goes on past the store, with all who have to. */
  async #pass(question: BlobQuestion): Promise<BlobReader> {
    const { fills, proofs } = this.#options;
    const { upstream, repository, digest } = question;
    const sources = new FillSources({ upstream: upstream.host, repository }, this.#opener(question));
    const passage = await fills.passages.join(digest, sources);
    if (!passage) throw proofs.absent(question);
    return passage.reader();
  }

  #opener(question: BlobQuestion): OpenInput {
    const { upstream, repository, digest } = question;
    return async ({ from, signal, purpose }) => {
      try {
        const lane = LANES[purpose];
        const isPatient = purpose === 'passage' && from > 0;
        const wanted = { from, signal, lane, isPatient };
        const { client } = upstream;
        const download = await client.download(repository, digest, wanted);
        if (download) this.#options.proofs.grant(question, client);
        return download;
      } catch (error) {
        const isRefusal = error instanceof UpstreamError && error.reason === 'bad-answer' && from > 0;
        throw isRefusal ? new PartialRefusedError(error) : error;
      }
    };
  }
}

const LANES = { fill: 'blob', passage: 'past', again: 'fresh' } as const;

/**
 * Of small content nothing can be shown before it is proven: then the head can wait for that too, and wrong content
 * is an error with a status instead of a broken response.
 */
async function untilProvenIfSmall(reader: BlobReader): Promise<void> {
  if (reader.size === undefined || reader.size > HELD_BACK_BYTES) return;
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, PROOF_PATIENCE_MS);
  const proven = reader.read(EMPTY, 0);
  proven.catch(() => undefined); // when it is late, the response is told
  try {
    await Promise.race([proven, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const EMPTY = Buffer.alloc(0);

/** Owns where the content of a fill can be had: at the upstream of each who asks for it. */
import type { FillOrigin } from './partials.ts';

/** Bytes on their way from upstream. */
export interface FillInput {
  /** of the whole content, undefined where upstream does not say */
  size: number | undefined;
  /** the content from the offset that was asked for; ends when it is complete, throws when it cannot be had */
  chunks: AsyncIterable<Buffer>;
}

export interface OpenOptions {
  /** offset in bytes */
  from: number;
  signal: AbortSignal;
  /** `again`: the last download brought wrong content, so it comes over a connection that nothing has used before */
  purpose: 'fill' | 'passage' | 'again';
}

/** Asks upstream for the content from an offset on; undefined where upstream has no such content. */
export type OpenInput = (options: OpenOptions) => Promise<FillInput | undefined>;

/** More than this many are not remembered: one that works is enough. */
const MAX_SOURCES = 8;

/** An opened input that can be given up before it is read. */
export interface OpenedInput {
  input: FillInput;
  /** ends its connection: what is not read to its end would keep it for ever */
  drop: () => void;
}

/**
 * Opens an input that can be given up by itself.
 * @returns undefined where upstream has no such content
 * @throws what `open` throws
 */
export async function openDroppable(
  open: OpenInput,
  { signal, ...options }: OpenOptions,
): Promise<OpenedInput | undefined> {
  const abort = new AbortController();
  const input = await open({ ...options, signal: AbortSignal.any([signal, abort.signal]) });
  return input && { input, drop: () => abort.abort(new Error('other content is used')) };
}

/** The first source is asked for all. Another one goes on where it fails for good, or has sent what is wrong. */
export class FillSources {
  readonly #sources = new Map<string, OpenInput>();
  /** the first source, as one word */
  readonly origin: string;

  constructor(origin: FillOrigin, open: OpenInput) {
    this.origin = keyOf(origin);
    this.add(origin, open);
  }

  /** Somebody else may have the same content, by another way. */
  add(origin: FillOrigin, open: OpenInput): void {
    if (this.#sources.size < MAX_SOURCES) this.#sources.set(keyOf(origin), open);
  }

  /** Asks the first source. @throws what it throws */
  async open(options: OpenOptions): Promise<FillInput | undefined> {
    const [first] = this.#sources.values();
    return await first?.(options);
  }

  /**
   * Asks one source after the other for content of a known size.
   * @throws what the first one throws; undefined where none has it
   */
  async openSame(options: OpenOptions, size: number | undefined): Promise<FillInput | undefined> {
    const [first] = this.#sources.keys();
    try {
      const opened = await openDroppable((wanted) => this.open(wanted), options);
      if (!opened || opened.input.size === size) return opened?.input;
      opened.drop();
      return undefined;
    } catch (error) {
      options.signal.throwIfAborted();
      const other = await this.#goOn(new Set([first ?? '']), options.from, size, options.signal);
      if (other) return other;
      throw error;
    }
  }

  /**
   * Asks for the whole once more, where it can be elsewhere.
   * @throws what the last one throws; undefined where nobody has it any more
   */
  async openAgain(signal: AbortSignal): Promise<FillInput | undefined> {
    const [first, ...others] = this.#sources.values();
    for (const open of others) {
      const input = await open({ from: 0, signal, purpose: 'again' }).catch(() => undefined); // the first is left
      if (input) return input;
      signal.throwIfAborted();
    }
    return await first?.({ from: 0, signal, purpose: 'again' });
  }

  /**
   * @param input from the first source
   * @param from offset of its first byte
   * @returns its chunks; where they end early, another source goes on at the same offset
   * @throws what the first source threw, where no other one has the rest
   */
  async *chunks(input: FillInput, from: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const tried = new Set([...this.#sources.keys()].slice(0, 1));
    let position = from;
    let current = input;
    for (;;) {
      try {
        for await (const chunk of current.chunks) {
          position += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        signal.throwIfAborted();
        const next = await this.#goOn(tried, position, input.size, signal);
        if (!next) throw error;
        current = next;
      }
    }
  }

  async #goOn(
    tried: Set<string>,
    from: number,
    size: number | undefined,
    signal: AbortSignal,
  ): Promise<FillInput | undefined> {
    for (const [key, open] of this.#sources) {
      if (tried.has(key)) continue;
      tried.add(key);
      const opened = await openDroppable(open, { from, signal, purpose: 'fill' }).catch(() => undefined); // the first failure is told
      signal.throwIfAborted();
      if (opened?.input.size === size) return opened?.input;
      opened?.drop();
    }
    return undefined;
  }
}

function keyOf({ upstream, repository }: FillOrigin): string {
  return `${upstream}/${repository}`;
}

/** Owns the beginning of a fill: what it takes (a partial file, room, upstream's answer), and what it gives back. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Digest } from '../oci/digest.ts';
import type { DiskStore, StoreObserver } from './disk-store.ts';
import { PartialRefusedError, StorageError } from './errors.ts';
import { type FillInput, type FillSources, type OpenOptions, openDroppable } from './fill-sources.ts';
import type { Layout } from './layout.ts';
import type { Reservation } from './ledger.ts';

/** What a fill is begun for. */
export interface FillGoal {
  digest: Digest;
  /** opening throws PartialRefusedError where upstream does not go on from the offset */
  sources: FillSources;
}

export interface FillParts {
  /** open for reading and writing, with `found` bytes of an earlier attempt */
  file: FileHandle;
  found: number;
  /** from `found` on */
  input: FillInput;
  /** for all of it, where upstream says how much that is */
  reservation: Reservation;
}

export type Beginning =
  | ({ kind: 'ready' } & FillParts)
  /** it was stored meanwhile */
  | { kind: 'stored' }
  /** upstream does not have it */
  | { kind: 'absent' }
  /**
   * It does not fit, or the disk refuses: to be streamed past the store.
   * `input` is the whole of it where upstream was asked already.
   */
  | { kind: 'bypass'; input: FillInput | undefined };

export interface BeginOptions {
  store: DiskStore;
  layout: Layout;
  observer: StoreObserver;
}

/** What is held while upstream is asked; `found` is what the partial file holds at any time. */
interface Taken {
  digest: Digest;
  found: number;
  reservation: Reservation;
  file?: FileHandle;
}

/**
 * Takes what a fill needs. What is not `ready` has been given back; a partial file that may still be of use is kept.
 * @throws what opening the source throws
 */
export async function beginFill(
  goal: FillGoal,
  abort: AbortController,
  options: BeginOptions,
): Promise<Beginning> {
  const { store } = options;
  const { digest } = goal;
  // Between the caller's look into the store and this flight, another fill may have ended: look again.
  const inStore = await lookInto(store, digest);
  if (inStore === 'stored') return { kind: 'stored' };
  if (inStore === 'bypass') return PAST;
  const found = store.partials.take(digest);
  // In the same turn: its room must not be given to another.
  const reservation = store.ledger.claim(found);
  const taken: Taken = { digest, found, reservation };
  try {
    const file = await openPartial(taken, options);
    taken.file = file;
    const input = await openInput(goal, taken, file, abort.signal);
    // Upstream has said how much comes; not a byte of it is taken before there is room for all.
    if (input && (await reservation.growTo(input.size ?? taken.found))) {
      return { kind: 'ready', file, found: taken.found, input, reservation };
    }
    // That this repository lacks the content says nothing about the one that the partial file came from.
    if (!input) return await giveBack(taken, 'keep', { kind: 'absent' }, options);
    const isWhole = taken.found === 0;
    if (!isWhole) abort.abort();
    return await giveBack(taken, 'discard', { kind: 'bypass', input: isWhole ? input : undefined }, options);
  } catch (error) {
    abort.abort();
    const isDisk = error instanceof StorageError;
    await giveBack(taken, isDisk ? 'discard' : 'keep', PAST, options);
    if (isDisk) return PAST;
    throw error;
  }
}

const PAST: Beginning = { kind: 'bypass', input: undefined };

/** A disk that refuses to clear away is told to the observer, not to who asked for content. */
async function giveBack(
  { digest, found, reservation, file }: Taken,
  partial: 'keep' | 'discard',
  outcome: Beginning,
  { store, observer }: BeginOptions,
): Promise<Beginning> {
  try {
    await file?.close();
    if (partial === 'keep') await store.partials.keep(digest, found);
    else await store.partials.discard(digest);
  } catch (error) {
    observer.storageFailed(new StorageError('clearing away a fill', error));
  } finally {
    reservation.release(); // last: what is on disk is counted at any moment
  }
  return outcome;
}

async function openPartial(
  { digest, found }: Taken,
  { layout, observer }: BeginOptions,
): Promise<FileHandle> {
  try {
    const { O_RDWR, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const anew = found > 0 ? 0 : O_CREAT | O_TRUNC;
    const file = await open(layout.partial(digest), O_RDWR | O_NOFOLLOW | anew, 0o640);
    if (found > 0) await file.truncate(found);
    return file;
  } catch (error) {
    const failure = new StorageError('opening a file for a fill', error);
    observer.storageFailed(failure);
    throw failure;
  }
}

/** Asks for the rest of a partial file, or for all where upstream does not continue it. */
async function openInput(
  { sources }: FillGoal,
  taken: Taken,
  file: FileHandle,
  signal: AbortSignal,
): Promise<FillInput | undefined> {
  try {
    const open = (options: OpenOptions) => sources.open(options);
    const opened = await openDroppable(open, { from: taken.found, signal, purpose: 'fill' });
    const size = opened?.input.size;
    if (size === undefined || size >= taken.found) return opened?.input;
    opened?.drop();
  } catch (error) {
    if (!(error instanceof PartialRefusedError)) throw error;
  }
  await file.truncate(0).catch((error: unknown) => {
    throw new StorageError('emptying a partial file', error);
  });
  taken.reservation.wrote(-taken.found);
  taken.found = 0;
  return await sources.open({ from: 0, signal, purpose: 'fill' });
}

/** Where not even looking works, a download would find no place either. */
async function lookInto(store: DiskStore, digest: Digest): Promise<'stored' | 'missing' | 'bypass'> {
  try {
    const reader = await store.open(digest);
    reader?.close();
    return reader ? 'stored' : 'missing';
  } catch (error) {
    if (error instanceof StorageError) return 'bypass';
    throw error;
  }
}

/** Starts a fill on a file of its own, without the store around it. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../src/oci/digest.ts';
import { Fill, type FillOptions } from '../../src/store/fill.ts';
import type { Source } from './source.ts';

export interface StartOptions {
  digest?: Digest;
  /** bytes that an earlier process left in the file */
  found?: Buffer;
  /** who is asked when the content was wrong */
  again?: Source;
  /** how much of the end is kept in memory */
  recentBytes?: number;
  makeRoom?: (bytes: number) => Promise<boolean>;
  pass?: FillOptions['pass'];
  /** the file as the fill sees it: a disk that refuses */
  through?: (file: FileHandle) => FileHandle;
}

export async function startFill(
  t: { testdir(): string; teardown(work: () => unknown): unknown },
  source: Source,
  {
    digest = source.digest,
    found = Buffer.alloc(0),
    again = source,
    recentBytes = 256 * 1024,
    makeRoom = async () => true,
    pass = () => {
      throw new Error('the disk has refused nothing');
    },
    through = (file) => file,
  }: StartOptions = {},
) {
  const file = await open(join(t.testdir(), 'partial'), 'w+');
  t.teardown(() => file.close());
  if (found.length > 0) await file.write(found, 0, found.length, 0);
  const abort = new AbortController();
  const told: string[] = [];
  let written = 0;
  const fill = new Fill({
    digest,
    file: through(file),
    found: found.length,
    input: source.input(found.length, abort.signal),
    openAgain: (signal) => again.open({ from: 0, signal, purpose: 'again' }),
    discarded: () => told.push('discarded'),
    pass,
    now: Date.now,
    onWritten: (bytes) => {
      written += bytes;
    },
    makeRoom,
    recentBytes: () => recentBytes,
    abort,
  });
  return { fill, file, abort, told, written: () => written };
}

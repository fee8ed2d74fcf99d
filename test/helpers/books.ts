/** Owns the comparison of what a running hubcap says about its disk with what is there. */
import type { Test } from 'tap';
import { assertDiskIsTrue, leftoversOf, openFilesBelow } from './disk-truth.ts';
import type { RunningMirror } from './mirror.ts';
import { until } from './waiting.ts';

/** What is stored is what it is called, counted as it is, and nothing else is left or open. */
export async function checkBooks(t: Test, { directory, status, settled }: RunningMirror): Promise<void> {
  await settled();
  await until('no file is open', () => openFilesBelow(directory).length === 0, 5).catch(() => undefined);
  const disk = await assertDiskIsTrue(directory);
  const { bytes, objects, reservedBytes } = status().store;
  t.same(
    { bytes, objects, reservedBytes, leftovers: leftoversOf(disk), open: openFilesBelow(directory) },
    { bytes: disk.bytesOnDisk, objects: disk.blobs.size, reservedBytes: 0, leftovers: [], open: [] },
    'what hubcap says of its disk is what is there',
  );
}

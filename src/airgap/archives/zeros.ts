/** Owns the zeros with which archives are filled up. */
import { ArchiveError } from './archive-error.ts';

/** @throws ArchiveError where there is anything else: what nobody reads may be another archive */
export function expectZeros(bytes: Buffer): void {
  if (!isZero(bytes))
    throw new ArchiveError(
      'something follows after the end of the archive; it is damaged, or not one archive',
    );
}

const ZEROS = Buffer.alloc(64 * 1024);

export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const part = bytes.subarray(at, at + ZEROS.length);
    if (!part.equals(ZEROS.subarray(0, part.length))) return false;
  }
  return true;
}

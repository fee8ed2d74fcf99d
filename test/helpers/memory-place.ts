/** Owns where tests put many directories that live for moments. */
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';

/** @returns a directory in memory where that can be had */
export function placeInMemory(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return '/dev/shm';
  } catch {
    return tmpdir();
  }
}

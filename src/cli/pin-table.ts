/** Owns the table of pins: what is kept, how much that is, and who wants it. */
import type { PinStatus } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { printable } from './printable.ts';
import { formatTable } from './table.ts';

const HEADINGS = ['REFERENCE', 'DIGEST', 'PLATFORMS', 'SIZE', 'STATE', 'BY', 'SINCE'];

/** @returns the lines, with headings */
export function formatPins(pins: readonly PinStatus[]): string {
  return formatTable(HEADINGS, pins.map(rowOf));
}

function rowOf({ reference, digest, platforms, bytes, isComplete, origin, pinnedAt }: PinStatus): string[] {
  return [
    reference.replace(/@.*/, ''),
    digest.slice(0, 19),
    platforms === 'all' ? platforms : platforms.join(', ') || 'single',
    formatBytes(bytes),
    isComplete ? 'complete' : 'partial',
    origin === '' ? 'you' : printable(origin),
    pinnedAt.slice(0, 10),
  ];
}

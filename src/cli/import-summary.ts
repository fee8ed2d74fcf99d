/** Owns what an import says at its end: what the archive had, and what became of it. */
import type { BundledImage } from '../airgap/archives/bundle-index.ts';
import type { ImportEvent, ImportedImage } from '../airgap/commands.ts';
import { fullNameText } from '../oci/image-name.ts';
import { formatBytes } from '../units.ts';
import { printable } from './printable.ts';
import { formatTable } from './table.ts';

export type ImportReport = Extract<ImportEvent, { kind: 'report' }>;

const HEADINGS = ['REFERENCE', 'DIGEST', 'PLATFORMS', 'SIZE', 'NEW', 'NOTES'];

/** @param isChecked whether the archive was what the checksum beside it says */
export function describeImport(
  name: string,
  images: readonly ImportedImage[],
  report: ImportReport,
  { isChecked, isDryRun }: { isChecked: boolean; isDryRun: boolean },
): string {
  const { archive, bytes, newBytes, required } = report;
  const rows = images.map((image) => [
    image.reference.replace(/@.*/, ''),
    image.digest.slice(0, 19),
    image.platforms.join(', ') || 'single',
    formatBytes(image.bytes),
    formatBytes(image.newBytes),
    notesOf(image).join(', ') || '-',
  ]);
  const done = isDryRun ? 'would be imported; nothing was' : 'imported';
  const lines = [
    `${name} (${printable(archive)}): ${images.length} ${images.length === 1 ? 'image' : 'images'} ${done}, ${formatBytes(bytes)}, of which ${formatBytes(newBytes)} ${isDryRun ? 'are' : 'were'} new`,
    ...(isChecked ? ['it is what the checksum beside it says'] : []),
    ...(required.objects > 0
      ? [
          `what it needs of earlier bundles is here: ${required.objects} things, ${formatBytes(required.bytes)}`,
        ]
      : []),
  ];
  return `${formatTable(HEADINGS, rows)}${lines.join('\n')}\n`;
}

function notesOf({ isMade, isPinned, referrers }: ImportedImage): string[] {
  return [
    ...(isMade ? ['manifest made'] : []),
    ...(referrers > 0 ? [`${referrers} ${referrers === 1 ? 'referrer' : 'referrers'}`] : []),
    ...(isPinned ? ['pinned'] : []),
  ];
}

/** @returns what a bundle says of itself, where it cannot be imported: nothing of it is proven */
export function describeBundle(name: string, images: readonly BundledImage[]): string {
  const rows = images.map(({ name: full, digest, platforms }) => [
    full ? fullNameText(full).replace(/@.*/, '') : '-',
    digest.slice(0, 19),
    platforms.map(printable).join(', ') || 'single',
  ]);
  return `${name} says that it has:\n${formatTable(['REFERENCE', 'DIGEST', 'PLATFORMS'], rows)}`;
}

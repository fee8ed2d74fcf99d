/** Owns the words for what happens in a prewarm: the same on a terminal and in lines. */
import type { PrewarmEvent, PrewarmProgress } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { printable } from './printable.ts';
import { formatLeft, formatRate } from './rate.ts';

type Told = Exclude<PrewarmEvent, { kind: 'progress' | 'report' }>;

/** @returns a line about one image */
export function tell(event: Told): string {
  switch (event.kind) {
    case 'waiting':
      return `${event.reference}: rate limit: waiting until ${clockTime(event.until)} (${printable(event.message)})`;
    case 'note':
      return tellOf(event);
    case 'failure':
      return `FAILED: ${tellOf(event)}`;
    case 'image':
      return tellImage(event);
  }
}

/** @returns a message that names its image, once */
export function tellOf({ reference, message }: { reference: string; message: string }): string {
  const text = printable(message);
  return text.startsWith(reference) ? text : `${reference}: ${text}`;
}

function tellImage(image: Extract<PrewarmEvent, { kind: 'image' }>): string {
  const { reference, platforms, fetchedBytes, hereBytes, isPinned, referrers } = image;
  const of = platforms.length > 0 ? ` (${platforms.join(', ')})` : '';
  const facts = [
    fetchedBytes > 0 ? `${formatBytes(fetchedBytes)} fetched` : 'nothing to fetch',
    ...(hereBytes > 0 ? [`${formatBytes(hereBytes)} here before`] : []),
    ...(referrers > 0 ? [`${referrers} ${referrers === 1 ? 'referrer' : 'referrers'}`] : []),
    ...(isPinned ? ['pinned'] : []),
  ];
  return `${reference}${of}: ${facts.join(', ')}`;
}

/** @returns how far all of it is: `12 of 40 images, 1.2GiB of 3.4GiB, 20MiB/s, 2m left, 87 pulls left` */
export function tellProgress(
  { images, bytes, totalBytes, fetchedBytes, pullsLeft }: PrewarmProgress,
  elapsedMs: number,
): string {
  const failed = images.failed > 0 ? ` (${images.failed} failed)` : '';
  return [
    `${images.done + images.failed} of ${images.total} images${failed}`,
    `${formatBytes(bytes)} of ${formatBytes(totalBytes)}`,
    formatRate(fetchedBytes, elapsedMs),
    formatLeft(totalBytes - bytes, fetchedBytes, elapsedMs),
    pullsLeft === undefined ? '' : `${pullsLeft} ${pullsLeft === 1 ? 'pull' : 'pulls'} left`,
  ]
    .filter((fact) => fact !== '')
    .join(', ');
}

/** @returns `14:05:12` where the user is; with the date where it is another day */
export function clockTime(iso: string): string {
  const at = new Date(iso);
  const time = at.toTimeString().slice(0, 8);
  return at.toDateString() === new Date().toDateString() ? time : `${at.toDateString()} ${time}`;
}

/** Owns what a prewarm says at its end: figures, and what a dry run expects. */
import type { PrewarmEvent, PrewarmForecast, PrewarmReport, PullForecast } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { tellOf } from './prewarm-words.ts';
import { printable } from './printable.ts';
import { formatTable } from './table.ts';

type DryImage = Extract<PrewarmEvent, { kind: 'image' }>;

/** @returns lines for the end of a run */
export function describeRun({ images, fetchedBytes, hereBytes, pulls }: PrewarmReport): string {
  const failed = images.failed > 0 ? `, ${images.failed} failed` : '';
  return [
    `${images.done} of ${images.total} ${plural(images.total, 'image is', 'images are')} here${failed}`,
    `${formatBytes(fetchedBytes)} fetched with ${pulls} ${plural(pulls, 'pull', 'pulls')}, ${formatBytes(hereBytes)} here before\n`,
  ].join('\n');
}

const HEADINGS = ['IMAGE', 'PLATFORMS', 'HERE', 'TO FETCH', 'PULLS'];

/** @returns a table of what would be fetched, and whether that can be */
export function describeDryRun(images: readonly DryImage[], report: PrewarmReport): string {
  const rows = images.map(({ reference, platforms, hereBytes, fetchedBytes, pulls }) => [
    reference,
    platforms.join(', ') || '-',
    formatBytes(hereBytes),
    formatBytes(fetchedBytes),
    String(pulls),
  ]);
  const table = rows.length > 0 ? formatTable(HEADINGS, rows) : '';
  const { fetchedBytes, hereBytes, pulls, forecast } = report;
  const lines = [
    `to fetch: ${formatBytes(fetchedBytes)}; here: ${formatBytes(hereBytes)}`,
    `manifests fetched for this: ${pulls}, which are kept and not fetched again`,
    ...(forecast ? [...forecast.limits.map(describePulls), describeRoom(forecast)] : []),
  ];
  return `${table}${lines.join('\n')}\n`;
}

function describePulls({ upstream, pullsNeeded, pullsLeft, accounts, hasPulls }: PullForecast): string {
  const needed = `pulls at ${upstream}: ${pullsNeeded} more are needed`;
  if (pullsLeft === undefined) return `${needed}; no limit is known`;
  const each = accounts
    .map(({ account, left }) => `${printable(account)}: ${left ?? 'not known'}`)
    .join(', ');
  const of = accounts.length > 1 ? ` (${each})` : '';
  return `${needed}, ${pullsLeft} are left beside what is kept for clients${of}: ${hasPulls ? 'enough' : 'NOT ENOUGH'}`;
}

function describeRoom({
  neededBytes,
  pinnedBytes,
  maxBytes,
  hasRoom,
  unknownImages,
}: PrewarmForecast): string {
  const unknown =
    unknownImages > 0
      ? `, and ${unknownImages} ${plural(unknownImages, 'image', 'images')} whose size is not known`
      : '';
  return `room: ${formatBytes(neededBytes)} on disk${unknown}, beside ${formatBytes(pinnedBytes)} that are pinned; the store may hold ${formatBytes(maxBytes)}: ${hasRoom ? 'enough' : 'NOT ENOUGH'}`;
}

/** @returns what failed and why, undefined where all is well */
export function describeFailures(
  { images, failures, forecast }: PrewarmReport,
  isDryRun: boolean,
): string | undefined {
  const problems = failures.map((failure) => `  ${tellOf(failure)}`);
  if (problems.length > 0) {
    const rest = isDryRun ? '' : '\nWhat was fetched is kept: the same command goes on with the rest.';
    return `${problems.length} of ${images.total} ${plural(images.total, 'image', 'images')} failed:\n${problems.join('\n')}${rest}`;
  }
  if (forecast && !forecast.hasPulls)
    return 'the pull limit does not suffice: without --no-wait, a prewarm waits and goes on; or give hubcap an account';
  if (forecast && !forecast.hasRoom)
    return 'the store has no room for all of it: give it more (storage.maxSize), unpin something, or fetch fewer images or platforms';
  return undefined;
}

function plural(count: number, one: string, many: string): string {
  return count === 1 ? one : many;
}

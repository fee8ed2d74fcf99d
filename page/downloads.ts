/** Owns how the running downloads and the prewarm schedules are shown. */
import type { PageStatus } from '../src/admin/status.ts';
import { formatBytes, formatDuration } from '../src/units.ts';
import { h, part, show } from './dom.ts';
import type { RatedFill } from './fill-rates.ts';
import { ago, badge, bar, nothing } from './state.ts';
import { countOf, formatCount, formatShare, formatSpan, formatUntil, shortDigest } from './words.ts';

/** So many are shown; a crowd of them is a number. */
const SHOWN = 30;

/** @param fills in the order in which they began */
export function showDownloads(fills: readonly RatedFill[]): void {
  const more = fills.length - SHOWN;
  show(
    part('download-list'),
    fills.length === 0
      ? nothing('No download runs. What a client asks for and is not here shows up here while it arrives.')
      : h('ul', { key: 'list', class: 'plain downloads' }, ...fills.slice(0, SHOWN).map(describeFill)),
    more > 0 && h('p', { key: 'more', class: 'muted' }, `and ${formatCount(more)} more`),
  );
}

function describeFill({
  digest,
  upstream,
  repository,
  size,
  bytes,
  readers,
  bytesPerS,
  leftMs,
}: RatedFill): HTMLElement {
  const name = repository === undefined ? upstream : `${upstream}/${repository}`;
  const share = size === undefined || size === 0 ? undefined : bytes / size;
  const facts = [
    size === undefined
      ? `${formatBytes(bytes)} of an unknown size`
      : `${formatBytes(bytes)} of ${formatBytes(size)}`,
    share !== undefined && formatShare(share),
    bytesPerS !== undefined && (bytesPerS < 1 ? 'waiting' : `${formatBytes(bytesPerS)}/s`),
    leftMs !== undefined && leftMs > 1000 && `${formatSpan(leftMs)} left`,
    countOf(readers, 'reader'),
  ];
  return h(
    'li',
    { key: digest },
    h('span', { class: 'name' }, name, ' ', h('code', { title: digest }, shortDigest(digest))),
    bar(`${name} ${shortDigest(digest)}`, size === undefined ? undefined : bytes, size ?? 1),
    h('span', { class: 'muted facts' }, facts.filter((fact) => fact !== false).join(' · ')),
  );
}

/** Without schedules there is nothing to be seen of them. */
export function showSchedules({ prewarm }: PageStatus, nowMs: number): void {
  part('prewarm').hidden = prewarm.length === 0;
  show(part('schedule-list'), ...prewarm.map((schedule) => describeSchedule(schedule, nowMs)));
}

type Schedule = PageStatus['prewarm'][number];

function describeSchedule(
  { list, everyS, isPinning, state, last, nextAt }: Schedule,
  nowMs: number,
): HTMLElement {
  const next = nextAt === undefined ? '' : `, next at ${formatUntil(Date.parse(nextAt), nowMs)}`;
  const now = state === 'running' ? 'runs now' : state === 'offline' ? 'waits: offline' : 'waits';
  const isFailed = last?.result === 'failed';
  return h(
    'li',
    { key: list, class: 'card' },
    h(
      'div',
      { class: 'row' },
      h('h3', {}, list),
      isPinning && h('span', { class: 'mark' }, 'pinned'),
      badge(isFailed ? 'warn' : state === 'offline' ? 'off' : 'good', isFailed ? 'failed' : now),
    ),
    h('p', { class: 'muted' }, `every ${formatDuration(everyS * 1000)}${isFailed ? `, ${now}` : ''}${next}`),
    last ? describeRun(last, nowMs) : h('p', { class: 'muted' }, 'It has not run yet.'),
  );
}

function describeRun(
  { images, fetchedBytes, endedAt, message }: NonNullable<Schedule['last']>,
  nowMs: number,
): HTMLElement {
  const failed = images.failed > 0 ? `, ${formatCount(images.failed)} failed` : '';
  const figures = `: ${formatCount(images.done)} of ${countOf(images.total, 'image')}, ${formatBytes(fetchedBytes)} fetched${failed}`;
  return h(
    'p',
    {},
    'Last run ',
    ago(endedAt, nowMs),
    figures,
    message !== undefined && h('span', { class: 'reason bad' }, message),
  );
}

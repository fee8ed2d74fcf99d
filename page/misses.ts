/** Owns how the miss list is shown. */
import type { MissesPage, MissStatus } from '../src/admin/misses.ts';
import { h, part, show } from './dom.ts';
import { missedPart, missWords, referenceParts } from './image-words.ts';
import { ago, nothing } from './state.ts';
import { table } from './table.ts';
import { formatCount } from './words.ts';

/** So many at first, and when more are wanted; the daemon tells no more than the last. */
export const MISS_STEPS: readonly [number, ...number[]] = [15, 100, 500];

/** @param why names are not told */
export function hideMisses(why: HTMLElement): void {
  show(part('miss-list'), why);
}

export function showMisses({ total, misses }: MissesPage, limit: number, nowMs: number): void {
  if (total === 0) {
    show(
      part('miss-list'),
      nothing('Nothing is missed: clients were given what they asked for, or it does not exist.'),
    );
    return;
  }
  const rows = misses.map((miss, i) => ({
    key: `${miss.kind} ${miss.reference} ${miss.platform ?? ''} ${i}`,
    cells: cellsOf(miss, nowMs),
  }));
  const columns = [
    { title: 'Asked for', class: 'grow' },
    { title: 'Why it was not given' },
    { title: 'Times', class: 'number' },
    { title: 'Last asked for', class: 'number' },
  ];
  const more = MISS_STEPS.find((step) => step > limit);
  show(
    part('miss-list'),
    table('What clients asked for and could not be given', columns, rows),
    h(
      'div',
      { key: 'foot', class: 'foot' },
      total > misses.length &&
        h(
          'span',
          { class: 'muted' },
          `${formatCount(misses.length)} of ${formatCount(total)}, the last asked for first`,
        ),
      total > misses.length &&
        more !== undefined &&
        h('button', { type: 'button', 'data-action': 'more-misses', 'data-value': more }, 'Show more'),
      h(
        'span',
        { class: 'muted' },
        'To fetch them where there is a way to the registries: ',
        h('code', {}, 'hubcap misses --list > wanted.txt'),
      ),
    ),
  );
}

function cellsOf(miss: MissStatus, nowMs: number): (string | Node | (string | Node | undefined)[])[] {
  const [named = '', digest] = miss.reference.split('@', 2);
  const { name, tag } = referenceParts(named);
  const what = missedPart(miss);
  return [
    [
      h('span', { class: 'reference' }, name, h('b', {}, tag)),
      digest === undefined
        ? undefined
        : h('code', { class: 'digest', title: digest }, `@${digest.slice(0, 19)}`),
      ' ',
      what === undefined ? undefined : h('span', { class: 'muted small' }, what),
    ],
    missWords(miss),
    formatCount(miss.count),
    ago(miss.lastAt, nowMs),
  ];
}

/** Owns the top of the page: whether all is well, what is not, and the key figures. */
import type { HistorySample } from '../src/admin/history.ts';
import type { PageStatus } from '../src/admin/status.ts';
import { givenOf } from '../src/totals.ts';
import { formatBytes } from '../src/units.ts';
import { isLoopbackName } from './client-address.ts';
import { announce, h, part, show } from './dom.ts';
import { type Figures, figuresOf, hitRateIn, minutesOf, sumOf } from './hour.ts';
import type { Notice } from './notices.ts';
import { badge, bar } from './state.ts';
import type { Level } from './upstream-words.ts';
import { countOf, formatCount, formatShare, formatSpan } from './words.ts';

/** @returns all in a few words */
export function overallOf(notices: readonly Notice[]): { level: Level; text: string } {
  const count = (level: Level): number => notices.filter((notice) => notice.level === level).length;
  const bad = count('bad');
  const warn = count('warn');
  const others = warn === 0 ? '' : `, ${countOf(warn, 'warning')}`;
  if (bad > 0) return { level: 'bad', text: `${countOf(bad, 'problem')}${others}` };
  const [off] = notices.filter(({ level }) => level === 'off');
  if (off) return { level: 'off', text: `${off.key}${others}` };
  return warn > 0 ? { level: 'warn', text: `serving${others}` } : { level: 'good', text: 'serving' };
}

export function showOverview(status: PageStatus, notices: readonly Notice[]): void {
  const { level, text } = overallOf(notices);
  show(part('state'), badge(level, text));
  show(
    part('identity'),
    h('span', {}, `version ${status.version}`),
    h('span', {}, `up for ${formatSpan(status.uptimeS * 1000)}`),
    ...listenWords(status).map((words) => h('span', {}, words)),
  );
  document.title = level === 'good' ? 'hubcap' : `${text} · hubcap`;
  show(part('notices'), ...notices.map(describe));
  say(notices.map(({ title }) => title).join('. '));
}

let said = '';

/** What is shown counts down; who listens hears what is new, once. */
function say(titles: string): void {
  if (titles === said) return;
  said = titles;
  announce(titles === '' ? 'All is well again' : titles);
}

/** @returns where the mirror is; the daemon tells of all addresses as of its own one */
export function listenWords({ listen, isLocalOnly }: Pick<PageStatus, 'listen' | 'isLocalOnly'>): string[] {
  const url = URL.parse(listen ?? '');
  if (!url) return [];
  const isEverywhere = !isLocalOnly && isLoopbackName(url.hostname);
  return [isEverywhere ? `mirror on port ${url.port || 80} of every address` : `mirror at ${listen}`];
}

function describe({ key, level, title, text, command }: Notice): HTMLElement {
  return h(
    'div',
    { key, class: `notice ${level}` },
    h('h3', {}, badge(level, title)),
    h('p', {}, text),
    command !== undefined && h('p', { class: 'command' }, 'Run ', h('code', {}, command)),
  );
}

interface Tile {
  name: string;
  value: string;
  notes: (string | HTMLElement)[];
}

/** @param samples of the last hour, this moment included */
export function showTiles(status: PageStatus, samples: readonly HistorySample[], nowMs: number): void {
  const tiles = [
    ...trafficTiles(status, samples, nowMs),
    storeTile(status),
    runningTile(status),
    missTile(status),
  ];
  show(
    part('tiles'),
    ...tiles.map(({ name, value, notes }) =>
      h(
        'div',
        { key: name, class: 'tile' },
        h('dt', {}, name),
        h('dd', { class: 'value' }, value),
        ...notes.map((note) => h('dd', { class: 'note' }, note)),
      ),
    ),
  );
}

function trafficTiles({ totals }: PageStatus, samples: readonly HistorySample[], nowMs: number): Tile[] {
  if (!totals) return [];
  const { hitRate, servedBytes, storeBytes, savedBytes, savedShare, fetchedBytes } = figuresOf(totals);
  const { hits, fetched } = givenOf(totals);
  const hour = sumOf(minutesOf(samples, nowMs));
  return [
    {
      name: 'Hit rate since start',
      value: formatShare(hitRate),
      notes: [`of ${countOf(hits + fetched, 'request')}`, `last hour ${formatShare(hitRateIn(hour))}`],
    },
    {
      name: 'Served since start',
      value: formatBytes(servedBytes),
      notes: [`${formatBytes(storeBytes)} from disk`, `${formatBytes(fetchedBytes)} fetched`],
    },
    {
      name: 'Saved since start',
      value: formatBytes(savedBytes),
      notes: [savedWords({ savedShare, servedBytes, fetchedBytes })],
    },
  ];
}

/** @returns which part of what was served was saved; who fetched much beforehand has saved nothing yet */
export function savedWords(figures: Pick<Figures, 'savedShare' | 'servedBytes' | 'fetchedBytes'>): string {
  const { savedShare, servedBytes, fetchedBytes } = figures;
  if (savedShare === undefined) return fetchedBytes > 0 ? 'fetched, not served yet' : 'nothing served yet';
  if (fetchedBytes > servedBytes) return 'more was fetched than served';
  return `${formatShare(savedShare)} of what was served`;
}

function storeTile({ store }: PageStatus): Tile {
  const { bytes, maxBytes, objects, pins, pinnedBytes } = store;
  return {
    name: 'Store',
    value: formatBytes(bytes),
    notes: [
      bar('bytes in the store', bytes, maxBytes),
      `${formatShare(maxBytes > 0 ? bytes / maxBytes : undefined)} of ${formatBytes(maxBytes)}`,
      pins === 0 ? countOf(objects, 'object') : `${formatBytes(pinnedBytes)} pinned`,
    ],
  };
}

function runningTile({ fills }: PageStatus): Tile {
  const readers = fills.reduce((sum, fill) => sum + fill.readers, 0);
  return {
    name: 'Downloads',
    value: formatCount(fills.length),
    notes: [fills.length === 0 ? 'none runs' : 'running', countOf(readers, 'reader')],
  };
}

function missTile({ misses }: PageStatus): Tile {
  return {
    name: 'Missed',
    value: formatCount(misses),
    notes: [misses === 0 ? 'nothing is missed' : h('a', { href: '#misses' }, 'see what')],
  };
}

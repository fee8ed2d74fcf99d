/** Owns how the images are shown: the part of them that was searched for, in pages, in an order. */
import type { ImagePage } from '../src/admin/image-browser.ts';
import type { ImageStatus } from '../src/admin/status.ts';
import { formatBytes } from '../src/units.ts';
import type { ImageWish } from './api.ts';
import { h, part, show } from './dom.ts';
import { missingWords, platformWords, referenceParts } from './image-words.ts';
import { ago, badge, nothing } from './state.ts';
import { type Column, table } from './table.ts';
import { countOf, formatCount, shortDigest } from './words.ts';

export const PAGE_IMAGES = 25;

/** @param why names are not told */
export function hideImages(why: HTMLElement): void {
  part('image-search').hidden = true;
  show(part('image-count'));
  show(part('image-list'), why);
  show(part('image-pages'));
}

/** @returns the offset of a page that exists, for who stands behind the last one as images have gone */
export function offsetWithin(offset: number, matching: number): number {
  return offset < matching ? offset : Math.floor(Math.max(0, matching - 1) / PAGE_IMAGES) * PAGE_IMAGES;
}

/** @returns `1,000 images`, `26 to 50 of 237 that match, of 1,000 images` */
export function countWords(
  page: ImagePage,
  { search, offset }: Pick<ImageWish, 'search' | 'offset'>,
): string {
  const { isCounted, total, matching, images, isTruncated } = page;
  if (!isCounted) return `${formatCount(offset + 1)} to ${formatCount(offset + images.length)}, counting`;
  const all = isTruncated ? `the first ${countOf(total, 'image')}` : countOf(total, 'image');
  if (search.trim() !== '' && matching === 0) return `none of ${all} matches`;
  const range =
    images.length < matching
      ? `${formatCount(offset + 1)} to ${formatCount(offset + images.length)} of `
      : '';
  return search.trim() === '' ? `${range}${all}` : `${range}${formatCount(matching)} that match, of ${all}`;
}

export function showImages(page: ImagePage, wish: ImageWish, nowMs: number): void {
  part('image-search').hidden = page.total === 0;
  show(part('image-count'), page.total === 0 ? '' : countWords(page, wish));
  show(part('image-list'), ...listOf(page, wish, nowMs));
  show(part('image-pages'), ...pagesOf(page, wish));
}

function listOf({ total, images, isTruncated }: ImagePage, wish: ImageWish, nowMs: number): HTMLElement[] {
  if (total === 0)
    return [nothing('No image is here yet. Set up a client as shown below and pull something.')];
  if (images.length === 0) return [nothing('No image has these words in its name.')];
  const rows = images.map((image) => ({ key: image.reference, cells: cellsOf(image, nowMs) }));
  const list = table('Images', columnsFor(wish), rows);
  if (!isTruncated) return [list];
  const more = h(
    'p',
    { class: 'muted' },
    'More are stored than are looked through here: ',
    h('code', {}, 'hubcap images'),
    ' lists all.',
  );
  return [list, more];
}

function columnsFor({ sort }: ImageWish): Column[] {
  return [
    { title: 'Image', class: 'grow', sort: { by: 'name', is: sort === 'name' ? 'ascending' : undefined } },
    { title: 'Platforms here' },
    { title: 'Size', class: 'number' },
    {
      title: 'Last use',
      class: 'number',
      sort: { by: 'used', is: sort === 'used' ? 'descending' : undefined },
    },
    { title: 'State' },
  ];
}

function cellsOf(image: ImageStatus, nowMs: number): (string | Node | (string | Node | undefined)[])[] {
  const { name, tag } = referenceParts(image.reference);
  const { whole, parts, total } = platformWords(image);
  const platforms = whole.length === 0 && parts.length === 0 ? ['–'] : [...whole, ...parts];
  const missing = missingWords(image);
  return [
    [
      h('span', { class: 'reference' }, name, h('b', {}, tag)),
      ' ',
      h('code', { class: 'digest', title: image.digest }, shortDigest(image.digest)),
    ],
    h(
      'span',
      { class: 'platforms' },
      platforms.join(', '),
      whole.length + parts.length < total && h('span', { class: 'muted' }, ` of ${total}`),
    ),
    formatBytes(image.storedBytes),
    image.lastUsedAt === undefined ? '–' : ago(image.lastUsedAt, nowMs),
    [
      badge(image.state === 'complete' ? 'good' : whole.length > 0 ? 'off' : 'warn', image.state),
      missing === undefined ? undefined : h('span', { class: 'muted small' }, missing),
      image.isPinned ? h('span', { class: 'mark' }, 'pinned') : undefined,
    ],
  ];
}

function pagesOf({ isCounted, matching, images }: ImagePage, { offset }: ImageWish): HTMLElement[] {
  if (matching <= images.length) return [];
  const at = `Page ${formatCount(Math.floor(offset / PAGE_IMAGES) + 1)}`;
  const pages = Math.ceil(matching / PAGE_IMAGES);
  const button = (text: string, to: number): HTMLElement =>
    h(
      'button',
      {
        key: text,
        type: 'button',
        'data-action': 'page',
        'data-value': to,
        'aria-disabled': to < 0 || to >= matching,
      },
      text,
    );
  return [
    button('Previous', offset - PAGE_IMAGES),
    h('span', { key: 'page' }, isCounted ? `${at} of ${formatCount(pages)}` : at),
    button('Next', offset + PAGE_IMAGES),
  ];
}

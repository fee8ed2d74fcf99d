/** Owns the small signs that are the same everywhere: a state with its shape, a time, a bar, what is said in place of nothing. */
import { h } from './dom.ts';
import type { Level } from './upstream-words.ts';
import { formatAgo } from './words.ts';

const SHAPES: Readonly<Record<Level, string>> = { good: '●', warn: '▲', bad: '■', off: '○' };

/** A state in words; the shape says it without colour. */
export function badge(level: Level, text: string): HTMLElement {
  return h(
    'span',
    { class: `badge ${level}` },
    h('span', { 'aria-hidden': 'true', class: 'shape' }, SHAPES[level]),
    text,
  );
}

/** How long ago something was; the moment itself is in the element, and shown to who points at it. */
export function ago(iso: string, nowMs: number): HTMLElement {
  const atMs = Date.parse(iso);
  return h('time', { datetime: iso, title: new Date(atMs).toLocaleString('en-GB') }, formatAgo(nowMs - atMs));
}

/** @param value undefined: how much there is to do is not known */
export function bar(label: string, value: number | undefined, max: number): HTMLElement {
  return h('progress', { 'aria-label': label, value, max: Math.max(max, value ?? 0, 1) });
}

export function nothing(text: string): HTMLElement {
  return h('p', { class: 'nothing' }, text);
}

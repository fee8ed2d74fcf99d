/** Owns changes of text that leave all the rest of it as it was. Pure. */

/** Where something stands: offsets, the end behind it. */
export type Range = readonly [start: number, end: number];

/** An array as it is written, of JSON, TOML or a YAML in brackets. */
export interface WrittenArray {
  /** with its brackets */
  range: Range;
  items: readonly Range[];
}

/** @returns what ends the lines of a text */
export function eolOf(text: string): '\n' | '\r\n' {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

export function splice(text: string, [start, end]: Range, instead: string): string {
  return text.slice(0, start) + instead + text.slice(end);
}

/** @returns line and column of an offset, both from 1 */
export function placeOf(text: string, offset: number): { line: number; column: number } {
  const lines = text.slice(0, offset).split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

export function lineStart(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

/** @returns the offset behind the end of the line */
export function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : end + 1;
}

/** @returns the blanks that the line of an offset begins with */
export function indentOf(text: string, offset: number): string {
  return /^[ \t]*/.exec(text.slice(lineStart(text, offset)))?.[0] ?? '';
}

/** @param block lines that end with \n @returns the lines as the text writes them, indented */
export function asLinesOf(text: string, block: string, indent = ''): string {
  return block.replace(/^(?=[^\n])/gm, indent).replaceAll('\n', eolOf(text));
}

/** Puts lines behind the line of an offset. */
export function insertAfterLine(text: string, offset: number, block: string): string {
  const at = lineEnd(text, offset);
  const isEnded = at > 0 && text[at - 1] === '\n';
  return text.slice(0, at) + (isEnded ? '' : eolOf(text)) + asLinesOf(text, block) + text.slice(at);
}

/** Puts lines at the end, a blank line before them. */
export function append(text: string, block: string): string {
  const eol = eolOf(text);
  const ended = text === '' || text.endsWith('\n') ? text : text + eol;
  const isApart = ended === '' || /(?:^|\n)\r?\n$/.test(ended);
  return ended + (isApart ? '' : eol) + asLinesOf(text, block);
}

/**
 * Removes whole lines, from the one of the start to the one of the end.
 * @param isBlock a blank line that parts them from the rest goes with them
 */
export function removeLines(text: string, [start, end]: Range, isBlock: boolean): string {
  const from = lineStart(text, start);
  const to = lineEnd(text, Math.max(start, end - 1));
  const [head, tail] = [text.slice(0, from), text.slice(to)];
  const [blank = ''] = (isBlock && /^[ \t]*\r?\n/.exec(tail)) || [];
  if (blank !== '' || !isBlock || tail !== '') return head + tail.slice(blank.length);
  return head.replace(/(^|\n)[ \t]*\r?\n$/, '$1');
}

/** Puts an item first into an array. */
export function prependItem(text: string, { range, items }: WrittenArray, item: string): string {
  const first = items[0];
  if (!first) return splice(text, [range[0] + 1, range[0] + 1], item);
  const isOnOwnLine = text.slice(range[0], first[0]).includes('\n');
  const between = isOnOwnLine ? eolOf(text) + indentOf(text, first[0]) : ' ';
  return splice(text, [first[0], first[0]], `${item},${between}`);
}

/** Takes an item out of an array, and the comma that parted it from the others. */
export function removeItem(text: string, { items }: WrittenArray, index: number): string {
  const item = items[index];
  if (!item) return text;
  const [start, end] = item;
  const [, comma = ''] = /^(\s*,)/.exec(text.slice(end)) ?? [];
  if (items[index + 1]) {
    const [blank = ''] = /^\s*/.exec(text.slice(end + comma.length)) ?? [];
    return splice(text, [start, end + comma.length + blank.length], '');
  }
  const previous = items[index - 1];
  const isNextToIt = previous !== undefined && /^\s*,\s*$/.test(text.slice(previous[1], start));
  return splice(text, [isNextToIt ? previous[1] : start, end + (isNextToIt ? 0 : comma.length)], '');
}

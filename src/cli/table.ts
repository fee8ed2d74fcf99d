/** Owns tables for people: columns as wide as what is in them, times as exact as one wants to read them. */

/** @returns the lines, with the headings above */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), heading.length),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return `${[headings, ...rows].map(line).join('\n')}\n`;
}

/** @returns an ISO time to the minute: `2026-11-22T07:40Z` */
export function toMinutes(iso: string): string {
  return iso.replace(/:\d\d(?:\.\d+)?Z$/, 'Z');
}

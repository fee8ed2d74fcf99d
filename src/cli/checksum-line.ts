/** Owns the file with a bundle's checksum: one line, as `sha256sum` writes and checks it (GNU coreutils). Pure. */

/** @returns where the checksum of a file is kept */
export function checksumPath(path: string): string {
  return `${path}.sha256`;
}

/** @param name of the file, without its directory. @returns the line that `sha256sum -c` reads */
export function checksumLine(hex: string, name: string): string {
  const written = name.replace(/[\\\n\r]/g, (character) => ESCAPES[character] ?? character);
  // A backslash before the line says that the name has such.
  return `${written === name ? '' : '\\'}${hex}  ${written}\n`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r' };

/**
 * @param text of the file: lines of `sha256sum`, in text or binary mode
 * @param name of the file, without its directory
 * @returns the hash in lower case, of the line with that name or of the only one; undefined where there is none
 */
export function readChecksum(text: string, name: string): string | undefined {
  const found = text.split(/\r?\n/).flatMap((line) => {
    const [, mark, hex, path = ''] = /^(\\?)([0-9a-f]{64})(?: [ *](.*))?$/i.exec(line) ?? [];
    if (hex === undefined) return [];
    const plain = mark === '' ? path : path.replace(/\\[\\nr]/g, (pair) => UNESCAPES[pair] ?? pair);
    return [{ hex: hex.toLowerCase(), name: plain.slice(plain.lastIndexOf('/') + 1) }];
  });
  const [only] = found.length === 1 ? found : [];
  return (found.find((one) => one.name === name) ?? only)?.hex;
}

const UNESCAPES = Object.fromEntries(Object.entries(ESCAPES).map(([plain, pair]) => [pair, plain]));

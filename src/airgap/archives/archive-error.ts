/** Owns the error of an archive that is refused: what is wrong, and with which entry. */

/** An archive that is not taken in: damaged, hostile, or lacking something. The message says what to do. */
export class ArchiveError extends Error {
  /** the entry's path as far as it is known */
  readonly entry: string | undefined;

  constructor(what: string, entry?: string, cause?: unknown) {
    const at = entry === undefined ? '' : `${printable(entry)}: `;
    super(`${at}${what}`, cause === undefined ? undefined : { cause });
    this.name = 'ArchiveError';
    this.entry = entry;
  }
}

const MAX_SHOWN = 200;

/** Names come from strangers: they must not steer a terminal, nor fill it. */
export function printable(name: string): string {
  const shown = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is to be replaced
  return shown.replace(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, '\ufffd');
}

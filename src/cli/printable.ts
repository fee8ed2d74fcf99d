/** Owns showing text that strangers wrote: a name or a message may hold what a terminal obeys. */

/** @returns the text on one line, with what steers a terminal written out */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Owns references on a command line: completed as Docker does, or refused before anything is asked. */
import { fullNameText, parseFullName } from '../oci/image-name.ts';

/** @returns true. @throws Error for yargs: a mistake of usage */
export function checkReferences(texts: readonly string[]): true {
  for (const text of texts) {
    if (!parseFullName(text))
      throw new Error(`${text} is no image name such as alpine or ghcr.io/owner/app:1.2`);
  }
  return true;
}

/** @param texts checked before. @returns each in full and once: `docker.io/library/alpine:latest` */
export function fullReferences(texts: readonly string[]): string[] {
  const names = texts.flatMap((text) => parseFullName(text) ?? []);
  return [...new Set(names.map(fullNameText))];
}

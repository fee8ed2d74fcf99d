/** Owns references as people write them: on the command line, and what is wrong with text that is none. */
import { parseFullName } from '../../oci/image-name.ts';
import type { WantedImage } from '../wanted-image.ts';
import { ListError } from './list-error.ts';

const MAX_QUOTED = 100;

/**
 * Reads the references of a command line.
 * @returns one image to each, in order, no platforms said
 * @throws ListError with every text that is no reference
 */
export function parseReferences(texts: readonly string[]): WantedImage[] {
  const problems: string[] = [];
  const images = texts.flatMap((text) => {
    const name = parseFullName(text);
    if (!name) problems.push(faultOfReference(text));
    return name ? [{ name, platforms: undefined, at: 'the command line' }] : [];
  });
  if (problems.length > 0) throw new ListError(problems);
  return images;
}

/** @returns what is wrong with text that `parseFullName` refused, and what to do */
export function faultOfReference(text: string): string {
  if (text.trim() === '') return 'a reference is empty; name an image, such as alpine:3.20';
  const [, advice = 'write it as alpine:3.20, ghcr.io/owner/app:1.2 or alpine@sha256:…'] =
    ADVICE.find(([pattern]) => pattern.test(text)) ?? [];
  return `${quoted(text)} is no reference of an image; ${advice}`;
}

const ADVICE: readonly [pattern: RegExp, advice: string][] = [
  [/^ko:\/\//, 'give the output of: ko resolve -f FILE'],
  [/^[a-z0-9+.-]{1,32}:\/\//i, 'leave out what stands before the ://, and the slashes'],
  [/\$[({A-Za-z_]|\{\{|<[a-z]|%\(/, 'put the value in place of the variable'],
  [/\s/, 'take out the white space'],
  [/@/, 'a digest is sha256: and 64 hexadecimal digits in lower case'],
  [/:$/, 'a tag is missing after the colon'],
  [/[A-Z]/, 'hosts may have upper case, repositories have lower case'],
];

/** @returns text in quotes, fit for one line of a message: cut, and with no control characters */
export function quoted(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}

/** Owns how patterns of repositories and tags are written. What they match is the mirror's. Pure. */
import { Expected, type Reader } from './values.ts';

/** Repository names are lower case, with single separators; a star may stand for any part of one. */
const repository = /^[a-z0-9*][a-z0-9*._/-]*$/;
const tag = /^[\w*][\w*.-]{0,127}$/;

/** `library/alpine`, `owner/*`, `*`. */
export const readRepositoryPattern: Reader<string> = (value) =>
  typeof value === 'string' && value.length <= 255 && repository.test(value)
    ? value
    : new Expected('a pattern of repositories, without tag and host: library/alpine, owner/*, *');

/**
 * `REPOSITORY` or `REPOSITORY:TAG`. A name of nothing but digits is refused without a tag: as the key of a mapping
 * it would lose its place in the order.
 */
export const readTagPattern: Reader<string> = (value) => {
  const expected = new Expected('a pattern of repositories or tags: library/*, "*:latest", owner/app:v*');
  if (typeof value !== 'string') return expected;
  const [name = '', tagName, ...rest] = value.split(':');
  if (readRepositoryPattern(name) instanceof Expected || rest.length > 0) return expected;
  if (tagName === undefined) return /^\d+$/.test(name) ? new Expected(`"${name}:*"`) : value;
  return tag.test(tagName) ? value : expected;
};

/**
 * Whether a pattern can match nothing on Docker Hub, whose official images are in `library/`.
 * @returns what was meant, undefined where the pattern can match
 */
export function meantOnHub(pattern: string): string | undefined {
  return /^[^/*]+(:.*)?$/.test(pattern) ? `library/${pattern}` : undefined;
}

/** Owns the names that imported images get: the archive's own, or those that were asked for. */
import type { UpstreamTable } from '../mirror/mirrored-upstream.ts';
import { fullNameText, parseFullName } from '../oci/image-name.ts';
import { RefusedError } from '../refused-error.ts';
import type { ArchivedImage } from './archive-content.ts';
import { type NamedPlace, placeOf } from './parts.ts';

export interface NamedImage<T = ArchivedImage> {
  place: NamedPlace;
  image: T;
}

type Nameable = Pick<ArchivedImage, 'name' | 'digest'>;

/**
 * @param as `NEW` where the archive has one image, or `OLD=NEW`
 * @throws RefusedError where an image has no name, two have the same, or an upstream is not configured
 */
export function nameImages<T extends Nameable>(
  images: readonly T[],
  as: readonly string[],
  upstreams: Pick<UpstreamTable, 'named'>,
): NamedImage<T>[] {
  const renames = readRenames(as);
  const used = new Set<string>();
  const named = images.map((image) => {
    const old = image.name && fullNameText(image.name);
    const key = [old, ONLY].find((candidate) => candidate !== undefined && renames.has(candidate));
    if (key === ONLY && images.length > 1) throw tooMany(images);
    if (key !== undefined) used.add(key);
    const text = key === undefined ? old : renames.get(key);
    if (text === undefined) throw nameless(images);
    return { place: placeOf(text, upstreams), image };
  });
  const unused = [...renames.keys()].find((key) => !used.has(key));
  if (unused !== undefined)
    throw new RefusedError(404, `--as: the archive has no ${unused}; it has ${list(images)}`);
  refuseTwice(named);
  return named;
}

/** The image of an archive that has one. */
const ONLY = '';

function readRenames(as: readonly string[]): Map<string, string> {
  const renames = new Map<string, string>();
  for (const text of as) {
    const equals = text.indexOf('=');
    const [old, now] = equals < 0 ? [undefined, text] : [text.slice(0, equals), text.slice(equals + 1)];
    const key = old === undefined ? ONLY : nameText(old);
    if (renames.has(key)) throw new RefusedError(400, `--as ${text}: that image is renamed already`);
    renames.set(key, nameText(now));
  }
  return renames;
}

function nameText(text: string): string {
  const name = parseFullName(text);
  if (!name)
    throw new RefusedError(400, `--as: ${text} is no image name such as alpine or ghcr.io/owner/app:1.2`);
  return fullNameText(name);
}

function refuseTwice(named: readonly NamedImage<Nameable>[]): void {
  const digests = new Map<string, string | undefined>();
  for (const { place, image } of named) {
    if (digests.has(place.text) && digests.get(place.text) !== image.digest)
      throw new RefusedError(409, `two images would be ${place.text}: rename one with --as OLD=NEW`);
    digests.set(place.text, image.digest);
  }
}

function tooMany(images: readonly Nameable[]): RefusedError {
  return new RefusedError(
    409,
    `the archive has ${images.length} images (${list(images)}): rename with --as OLD=NEW`,
  );
}

function nameless(images: readonly Nameable[]): RefusedError {
  if (images.length === 1) return new RefusedError(409, 'the image has no name: give it one with --as REF');
  return new RefusedError(
    409,
    `of the ${images.length} images of the archive some have no name (the others: ${list(images)}): carry them in an archive that names them`,
  );
}

function list(images: readonly Nameable[]): string {
  const names = images.flatMap(({ name }) => (name ? [fullNameText(name)] : []));
  if (names.length === 0) return 'images without names';
  return names.length > 5 ? `${names.slice(0, 5).join(', ')}…` : names.join(', ');
}

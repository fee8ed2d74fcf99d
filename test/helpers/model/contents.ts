/** Owns the content that the model knows: sizes around every border that the store has. */
import { type Digest, digestOf } from '../../../src/oci/digest.ts';
import { blobOf, type Content, KIB, MIB } from '../content.ts';

/** Held back until proven: 64 KiB. Worth resuming: 1 MiB. On disk: blocks of 4 KiB. */
const SIZES = [
  0,
  1,
  4096,
  64 * KIB - 1,
  64 * KIB,
  64 * KIB + 1,
  200_000,
  700 * KIB,
  MIB - 1,
  MIB,
  MIB + 1,
  1.5 * MIB,
];

export const contents: readonly Content[] = SIZES.map((bytes, position) => {
  const { body } = blobOf(bytes, `model ${position}`);
  return { body, digest: digestOf(body, position === 7 ? 'sha512' : 'sha256') };
});

/** No upstream has it. */
export const unknown: Digest = digestOf('nobody has this');

export function contentAt(which: number): Content {
  const content = contents[which % contents.length];
  if (!content) throw new Error('there is no content');
  return content;
}

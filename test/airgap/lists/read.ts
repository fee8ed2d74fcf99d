/** Reads lists for the tests, and shows what came out in short lines. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageList, readImageList } from '../../../src/airgap/lists/image-list.ts';
import { ListError } from '../../../src/airgap/lists/list-error.ts';
import type { WantedImage } from '../../../src/airgap/wanted-image.ts';
import { fullNameText } from '../../../src/oci/image-name.ts';
import { platformText } from '../../../src/oci/platform.ts';

const SAMPLES = join(import.meta.dirname, 'samples');

export function sample(file: string): string {
  return readFileSync(join(SAMPLES, file), 'utf8');
}

export function read(text: string, name = '-', variables: Record<string, string> = {}): ImageList {
  return readImageList(text, { name, variables });
}

/** `12 docker.io/library/alpine:latest linux/amd64`: its line, its name, its platforms */
export function lineOf({ at, name, platforms }: WantedImage): string {
  const line = at.slice(at.lastIndexOf(':') + 1);
  const said = platforms === 'all' ? 'all' : platforms?.map(platformText).join(',');
  return [line, fullNameText(name), said].filter((part) => part !== undefined).join(' ');
}

export function linesOf(list: ImageList): string[] {
  return list.images.map(lineOf);
}

/** The problems of a list that has to be refused. */
export function problemsOf(
  text: string,
  name = '-',
  variables: Record<string, string> = {},
): readonly string[] {
  try {
    const { kind, images } = read(text, name, variables);
    return [`read as ${kind} with ${images.length} images`];
  } catch (error) {
    if (error instanceof ListError) return error.problems;
    throw error;
  }
}

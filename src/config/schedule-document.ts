/** Owns what `prewarm` may say: every key of a schedule, and the reader of its value. */
import { z } from 'zod';
import { parsePlatform, platformText } from '../oci/platform.ts';
import { leaf, mapRead, optional, section } from './sections.ts';
import * as values from './values.ts';

export type ScheduleDocument = z.output<ReturnType<typeof schedulesSchema>>[number];

/** Each is a list that is read again and again. */
const MAX_SCHEDULES = 100;

/** The schema of the list of schedules. The image lists themselves are not read: they may come later. */
export function schedulesSchema(expand: (path: string) => string) {
  const schedule = section({
    list: leaf((value) => mapRead(values.readPath(value), expand)),
    every: optional(leaf(values.readInterval)),
    platforms: optional(leaf(readPlatforms)),
    pin: optional(leaf(values.readSwitch)),
    referrers: optional(leaf(values.readSwitch)),
  });
  return z
    .array(schedule)
    .max(MAX_SCHEDULES, { error: `at most ${MAX_SCHEDULES} schedules: put several lists into one` });
}

/** `all`, one platform, or a list of them; each is given back in its usual spelling, and once. */
const readPlatforms: values.Reader<'all' | string[]> = (value) => {
  if (value === 'all') return value;
  const written = Array.isArray(value) ? value : [value];
  const platforms = written.map((text) =>
    typeof text === 'string' && text !== 'all' ? parsePlatform(text) : undefined,
  );
  const known = platforms.filter((platform) => platform !== undefined);
  if (known.length === 0 || known.length < written.length)
    return new values.Expected('all, or a list of platforms such as [linux/amd64, linux/arm64]');
  return [...new Set(known.map(platformText))];
};

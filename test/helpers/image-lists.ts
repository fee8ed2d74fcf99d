/** Owns image lists that a schedule of a test reads. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ScheduleConfig } from '../../src/config/schema.ts';

export interface WrittenList {
  readonly path: string;
  /** Has these lines from now on. */
  write(...lines: string[]): void;
}

export function writeList(directory: string, name: string, ...lines: string[]): WrittenList {
  const path = join(directory, name);
  const write = (...text: string[]): void => writeFileSync(path, `${text.join('\n')}\n`);
  write(...lines);
  return { path, write };
}

export const HOUR_MS = 3600_000;

/** Every hour, for linux/amd64, with pins. */
export function scheduleOf({ path }: WrittenList, other: Partial<ScheduleConfig> = {}): ScheduleConfig {
  const schedule = { everyMs: HOUR_MS, platforms: ['linux/amd64'], isPinning: true, withReferrers: false };
  return { list: path, ...schedule, ...other };
}

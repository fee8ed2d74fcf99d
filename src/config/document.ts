/** Owns what one source (the file, the environment, the flags) may say: every key, and the reader of its value. */
import type { z } from 'zod';
import { expandPath, type Surroundings } from './paths.ts';
import { schedulesSchema } from './schedule-document.ts';
import { logFormats, logLevels, namesPolicies } from './schema.ts';
import { leaf, mapRead, optional, section } from './sections.ts';
import { upstreamsSchema } from './upstream-document.ts';
import * as values from './values.ts';

/** What a source said, units resolved; what it left out is `undefined`. */
export type Document = z.output<ReturnType<typeof documentSchema>>;

/**
 * The schema of one source. `base` is the directory that its relative paths count from. Parsing reads password
 * and PEM files.
 * Keys are strict, `null` counts as left out, and the message of every issue is what was expected; for unknown keys
 * it is the list of the known ones. An issue about a key itself has it in `params.found`.
 */
export function documentSchema(base: string, around: Surroundings) {
  const expand = (path: string) => expandPath(path, base, around);
  const path = leaf((value) => mapRead(values.readPath(value), expand));
  return section({
    listen: optional(leaf(values.readAddress)),
    admin: optional(leaf(values.readAddress)),
    adminNames: optional(leaf(values.readChoice(namesPolicies))),
    control: optional(leaf(values.readSocketPath(expand))),
    storage: optional(
      section({
        directory: optional(path),
        maxSize: optional(leaf(values.readBudget)),
        minFree: optional(leaf(values.readBytes(0))),
        scrub: optional(leaf(values.readBytes(0))),
      }),
    ),
    upstreams: optional(upstreamsSchema(expand, around)),
    prewarm: optional(schedulesSchema(expand)),
    offline: optional(leaf(values.readSwitch)),
    http: optional(
      section({
        headerTimeout: optional(leaf(values.readTimeout)),
        idleTimeout: optional(leaf(values.readTimeout)),
        keepAlive: optional(leaf(values.readTimeout)),
        maxConnections: optional(leaf(values.readCount(1, 1_000_000))),
        drain: optional(leaf(values.readPatience)),
      }),
    ),
    log: optional(
      section({
        level: optional(leaf(values.readChoice(logLevels))),
        format: optional(leaf(values.readChoice([...logFormats, 'auto']))),
      }),
    ),
    proxy: optional(
      section({
        http: optional(leaf(values.readProxyUrl)),
        https: optional(leaf(values.readProxyUrl)),
        no: optional(leaf(values.readNoProxy)),
      }),
    ),
  });
}

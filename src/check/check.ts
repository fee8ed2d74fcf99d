/** Owns what `hubcap check` finds: one line each, of one group, and what to do about it. */

export const groups = [
  'configuration',
  'data directory',
  'disk',
  'ports',
  'daemon',
  'clock',
  'upstreams',
  'clients',
] as const;
export type Group = (typeof groups)[number];

/** `skipped`: it was not looked at, and why is said. */
export type Status = 'ok' | 'warning' | 'failed' | 'skipped';

/** What one check found. Holds no secret. */
export interface Finding {
  /** stays the same from version to version: `docker.mirror.path` */
  id: string;
  group: Group;
  status: Status;
  /** what is so, in one sentence without an end mark */
  message: string;
  /** what to do about it; undefined where there is nothing to do */
  remedy: string | undefined;
  /** for programs */
  facts: Readonly<Record<string, unknown>>;
}

export type Facts = Finding['facts'];

/** Says what was found in one group. */
export interface Voice {
  ok(id: string, message: string, facts?: Facts): Finding;
  skipped(id: string, message: string, facts?: Facts): Finding;
  warning(id: string, message: string, remedy: string, facts?: Facts): Finding;
  failed(id: string, message: string, remedy: string, facts?: Facts): Finding;
}

/** @returns what makes findings of this group */
export function voiceOf(group: Group): Voice {
  const calm =
    (status: Status) =>
    (id: string, message: string, facts: Facts = {}): Finding => ({
      ...{ id, group, status, message, remedy: undefined, facts },
    });
  const urgent =
    (status: Status) =>
    (id: string, message: string, remedy: string, facts: Facts = {}): Finding => ({
      ...{ id, group, status, message, remedy, facts },
    });
  return { ok: calm('ok'), skipped: calm('skipped'), warning: urgent('warning'), failed: urgent('failed') };
}

/** @returns how many findings have each status */
export function countByStatus(findings: readonly Finding[]): Record<Status, number> {
  const counts: Record<Status, number> = { ok: 0, warning: 0, failed: 0, skipped: 0 };
  for (const { status } of findings) counts[status] += 1;
  return counts;
}

/** Owns the verification of the store, or of the content of one image: what is looked at, counted and told. */
import { unlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../oci/digest.ts';
import type { Fills } from './fills.ts';
import type { FindingKind, Step, StoreFinding } from './findings.ts';
import { type InspectedParts, inspectContent, inspectRoots, inspectShard, SHARDS } from './inspect.ts';
import { digestOfPartial } from './layout.ts';

export interface VerifiedParts extends InspectedParts {
  fills: Fills;
}

export type VerifyEvent =
  | ({ kind: 'progress' } & VerifyProgress)
  | ({ kind: 'finding' } & StoreFinding)
  | ({ kind: 'report' } & VerifyReport);

export interface VerifyProgress {
  objects: number;
  /** hashed */
  bytes: number;
  totalObjects: number;
  totalBytes: number;
}

export interface VerifyReport {
  /** content that is what its digest says */
  objects: number;
  bytes: number;
  /** of these, files that the catalog had not known */
  adopted: number;
  findings: Partial<Record<FindingKind, number>>;
  /** content of the image that is not in the store, which is no fault; only where an image was asked for */
  absent: number | undefined;
  isClean: boolean;
}

/** What is to be verified where it is not everything. */
export interface VerifySelection {
  digests: readonly Digest[];
  /** how much belongs to it that is not in the store */
  absent: number;
}

const PROGRESS_INTERVAL_MS = 200;

/**
 * Hashes content and tells how it goes, what is wrong, and in the end a report. Serving goes on beside it.
 * @param selection undefined: the whole store, and what lies in its directories beside content
 * @param elapsedMs a clock, for the pace of progress
 * @throws what the file system says
 */
export async function* verify(
  parts: VerifiedParts,
  selection: VerifySelection | undefined,
  elapsedMs: () => number,
): AsyncGenerator<VerifyEvent> {
  const progress: VerifyProgress = { objects: 0, bytes: 0, ...totals(parts, selection) };
  const report: VerifyReport = {
    objects: 0,
    bytes: 0,
    adopted: 0,
    findings: {},
    absent: selection?.absent,
    isClean: true,
  };
  let saidMs = Number.NEGATIVE_INFINITY;
  for await (const step of selection ? inspectAll(parts, selection.digests) : inspectStore(parts)) {
    if (step.kind === 'found') {
      const { what } = step.finding;
      report.findings[what] = (report.findings[what] ?? 0) + 1;
      report.isClean = false;
      yield { kind: 'finding', ...step.finding };
    } else if (step.kind === 'read') progress.bytes += step.bytes;
    else {
      progress.objects += 1;
      if (step.isAdopted) report.adopted += 1;
    }
    if (elapsedMs() - saidMs < PROGRESS_INTERVAL_MS) continue;
    saidMs = elapsedMs();
    yield { kind: 'progress', ...progress };
  }
  yield { kind: 'progress', ...progress };
  yield { kind: 'report', ...report, objects: progress.objects, bytes: progress.bytes };
}

function totals(
  { index, store }: VerifiedParts,
  selection: VerifySelection | undefined,
): { totalObjects: number; totalBytes: number } {
  if (!selection) {
    const { objects, bytes } = index.totals(1);
    return { totalObjects: objects, totalBytes: bytes };
  }
  const { digests } = selection;
  const totalBytes = digests.reduce((sum, digest) => sum + (store.sizeOf(digest) ?? 0), 0);
  return { totalObjects: digests.length, totalBytes };
}

async function* inspectStore(parts: VerifiedParts): AsyncGenerator<Step> {
  yield* inspectRoots(parts);
  yield* inspectDownloads(parts);
  for (const shard of SHARDS) yield* inspectShard(parts, shard, 'content');
}

async function* inspectAll(parts: VerifiedParts, digests: readonly Digest[]): AsyncGenerator<Step> {
  for (const digest of digests) yield* inspectContent(parts, digest);
}

/** Looks for files among the downloads that no fill works on and that no later one will go on with. */
async function* inspectDownloads({ layout, store, fills }: VerifiedParts): AsyncGenerator<Step> {
  for (const entry of await readdir(layout.fills, { withFileTypes: true })) {
    const path = join(layout.fills, entry.name);
    const digest = digestOfPartial(entry.name.replace(NOTE, ''));
    // Looked up and moved in one turn: a fill that begins now makes its file anew.
    const isOwned = digest ? store.partials.has(digest) || fills.has(digest) : isBeingWritten(entry.name);
    if (isOwned) continue;
    if (digest && NOTE.test(entry.name)) {
      dropNote(path);
      continue;
    }
    const finding = entry.isFile() ? store.judge.setAsideLeftover(path) : store.judge.irregular(path);
    if (finding) yield { kind: 'found', finding };
  }
}

/** What a note is named beside its download, and while it is written. */
const NOTE = /\.json(\.new)?$/;

/** A note says something about a download; one that outlived it is no fault. */
function dropNote(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // it is gone already, or goes at the next start
  }
}

function isBeingWritten(name: string): boolean {
  return name.startsWith(`put-${process.pid}-`) || name === `probe-${process.pid}`;
}

/** Owns reaching a hubcap under test as a command does: through its control socket. */
import { connectControl, type DaemonControl } from '../../src/admin/control-client.ts';
import { controlPaths } from '../../src/admin/control-path.ts';
import type {
  ExportRequest,
  ImportEvent,
  ImportRequest,
  PrewarmEvent,
  PrewarmRequest,
} from '../../src/airgap/commands.ts';

/** @throws Error where no hubcap serves the directory */
export async function controlOf({ directory }: { directory: string }): Promise<DaemonControl> {
  const control = await connectControl(controlPaths(directory, undefined));
  if (!control) throw new Error(`no hubcap serves ${directory}`);
  return control;
}

/** What a person asks for who says nothing else. */
export function prewarmOf(
  references: readonly string[],
  request: Partial<PrewarmRequest> = {},
): PrewarmRequest {
  return {
    images: references.map((reference) => ({ reference, platforms: undefined })),
    platforms: ['linux/amd64'],
    isPinning: false,
    withReferrers: false,
    concurrency: 3,
    isDryRun: false,
    isPatient: false,
    ...request,
  };
}

export function importOf(request: Partial<ImportRequest> = {}): ImportRequest {
  return { as: [], isPinning: true, isDryRun: false, bytes: undefined, ...request };
}

/** @returns all that was told */
export async function all<T extends PrewarmEvent | ImportEvent>(events: AsyncIterable<T>): Promise<T[]> {
  const told: T[] = [];
  for await (const event of events) told.push(event);
  return told;
}

/** @returns the last event, which must be of this kind. @throws Error with all events where it is another */
export function endOf<T extends { kind: string }, K extends T['kind']>(
  events: readonly T[],
  kind: K,
): Extract<T, { kind: K }> {
  const last = events.at(-1);
  if (last?.kind !== kind) throw new Error(`no ${kind} at the end of ${JSON.stringify(events)}`);
  return last as Extract<T, { kind: K }>;
}

export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const read: Buffer[] = [];
  for await (const chunk of chunks) read.push(chunk);
  return Buffer.concat(read);
}

/** What a person exports who names images and says nothing else. */
export function exportOf(references: readonly string[], request: Partial<ExportRequest> = {}): ExportRequest {
  return {
    selection: 'references',
    references: [...references],
    platforms: undefined,
    since: [],
    ...request,
  };
}

/** @returns a file as it is sent: in chunks */
export async function* sent(file: Buffer, chunkBytes = 64 * 1024): AsyncGenerator<Buffer> {
  for (let at = 0; at < file.length; at += chunkBytes) yield file.subarray(at, at + chunkBytes);
}

/** Owns the reading of image lists that a command is given: files, standard input, and references beside them. */
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseEnv } from 'node:util';
import { readImageList } from '../airgap/lists/image-list.ts';
import { ListError } from '../airgap/lists/list-error.ts';
import { mergeWanted } from '../airgap/lists/merge-wanted.ts';
import { parseReferences } from '../airgap/lists/references.ts';
import type { WantedImage } from '../airgap/wanted-image.ts';
import type { PlatformChoice } from '../oci/platform.ts';
import { formatBytes } from '../units.ts';
import { environment } from './options.ts';
import { ReportedError } from './reported-error.ts';

export interface WantedLists {
  /** each once, with its platforms */
  images: WantedImage[];
  /** what a list holds that is nothing to fetch */
  notes: string[];
}

const MAX_BYTES = 16 * 1024 * 1024;
const STDIN = '-';

/**
 * Reads all lists, or says everything that is wrong with any.
 * @param files paths; `-` is standard input
 * @param unsaid the platforms of images that say none
 * @throws ReportedError with every problem: nothing is to be fetched then
 */
export async function readLists(
  references: readonly string[],
  files: readonly string[],
  unsaid: PlatformChoice,
): Promise<WantedLists> {
  const images: WantedImage[] = [];
  const notes: string[] = [];
  const problems: string[] = [];
  const collect = async (read: () => Promise<WantedLists>): Promise<void> => {
    try {
      const found = await read();
      images.push(...found.images);
      notes.push(...found.notes);
    } catch (error) {
      if (!(error instanceof ListError)) throw error;
      problems.push(error.message);
    }
  };
  await collect(async () => ({ images: parseReferences(references), notes: [] }));
  for (const file of files) await collect(() => readList(file));
  if (problems.length > 0) throw new ReportedError(problems.join('\n'), undefined, 'configuration');
  return { images: mergeWanted(images, unsaid), notes };
}

async function readList(file: string): Promise<WantedLists> {
  const text = await readBounded(file);
  return readImageList(text, { name: file, variables: await variablesFor(file) });
}

/** As Compose has it: what the environment says wins over the `.env` beside the file. */
async function variablesFor(file: string): Promise<Record<string, string>> {
  const beside = join(file === STDIN ? '.' : dirname(file), '.env');
  const text = await readBounded(beside).catch((error: unknown) => {
    if (error instanceof ListError && isAbsence(error.cause)) return '';
    throw error;
  });
  return { ...stringsOf(parseEnv(text)), ...environment() };
}

function stringsOf(values: NodeJS.Dict<string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** @throws ListError where it cannot be read, is no text, or is too large */
async function readBounded(file: string): Promise<string> {
  const shown = file === STDIN ? 'standard input' : file;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of await openList(file)) {
      bytes += chunk.length;
      if (bytes > MAX_BYTES) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw Object.assign(new ListError([`${shown}: cannot be read: ${why}`]), { cause });
  }
  if (bytes > MAX_BYTES)
    throw new ListError([`${shown}: larger than ${formatBytes(MAX_BYTES)}; give it in parts`]);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new ListError([`${shown}: no text in UTF-8; save it as such`]); // the decoder says no more
  }
}

async function openList(file: string): Promise<AsyncIterable<Buffer>> {
  if (file === STDIN) return process.stdin;
  return (await open(file, 'r')).createReadStream();
}

function isAbsence(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

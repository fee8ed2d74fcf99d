/** Owns the reading of what commands send: known fields of known types, or a refusal that says which is wrong. */
import { z } from 'zod';
import { RefusedError } from '../refused-error.ts';
import type {
  CarriedContent,
  ExportRequest,
  ImportRequest,
  PinRequest,
  PrewarmRequest,
  RemoveRequest,
} from './commands.ts';

/** A reference is shorter; a list may be as long as a document. */
const text = z.string().max(4096);
const platforms = z.union([z.literal('all'), z.array(text).min(1).max(100)]);
const references = z.array(text);
/** JSON has no undefined: what is left out comes without its name. */
const optional = <T>(form: z.ZodType<T>) => form.optional().transform((value): T | undefined => value);

const PREWARM: z.ZodType<PrewarmRequest> = z.strictObject({
  images: z.array(z.strictObject({ reference: text, platforms: optional(platforms) })),
  platforms,
  isPinning: z.boolean(),
  withReferrers: z.boolean(),
  concurrency: z.int(),
  isDryRun: z.boolean(),
  isPatient: z.boolean(),
});

const PIN: z.ZodType<PinRequest> = z.strictObject({
  references,
  platforms: optional(platforms),
  withReferrers: z.boolean(),
});

const REMOVE: z.ZodType<RemoveRequest> = z.strictObject({ references, isDryRun: z.boolean() });

const EXPORT: z.ZodType<ExportRequest> = z.strictObject({
  selection: z.enum(['references', 'pinned', 'all']),
  references,
  platforms: optional(platforms),
  since: z.array(text),
});

const CARRIED: z.ZodType<CarriedContent[]> = z.array(
  z.strictObject({ digest: text, size: z.int().nonnegative() }),
);

const IMPORT: z.ZodType<ImportRequest> = z.strictObject({
  as: references,
  isPinning: z.boolean(),
  isDryRun: z.boolean(),
  bytes: optional(z.int().nonnegative()),
});

/** @throws RefusedError where it is no such request */
export const readPrewarmRequest = (value: unknown): PrewarmRequest => read(PREWARM, value);
/** @throws RefusedError where it is no such request */
export const readPinRequest = (value: unknown): PinRequest => read(PIN, value);
/** @throws RefusedError where it is no list of references */
export const readReferences = (value: unknown): string[] => read(references, value);
/** @throws RefusedError where it is no such request */
export const readRemoveRequest = (value: unknown): RemoveRequest => read(REMOVE, value);
/** @throws RefusedError where it is no such request */
export const readExportRequest = (value: unknown): ExportRequest => read(EXPORT, value);
/** @throws RefusedError where it is no such list */
export const readCarried = (value: unknown): CarriedContent[] => read(CARRIED, value);
/** @throws RefusedError where it is no such request */
export const readImportRequest = (value: unknown): ImportRequest => read(IMPORT, value);

function read<T>(form: z.ZodType<T>, value: unknown): T {
  const { success, data, error } = form.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  const where = issue?.path.join('.') || 'the request';
  throw new RefusedError(
    400,
    `${where}: ${issue?.message ?? 'not understood'}; is it another version of hubcap?`,
  );
}

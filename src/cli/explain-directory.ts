/** Owns what a user is told when the data directory cannot be opened. */
import { DIRECTORY_REMEDIES } from '../check/directory-remedies.ts';
import type { Config } from '../config/schema.ts';
import { CatalogTooNewError } from '../store/catalog-schema.ts';
import { LayoutTooNewError } from '../store/layout.ts';
import { ReportedError } from './reported-error.ts';

const REFUSALS: Readonly<Record<string, string>> = {
  ...DIRECTORY_REMEDIES,
  ERR_SQLITE_ERROR:
    'make sure that this user may write it, that it is not mounted read-only, and that there is room',
};

/** @returns the error with what to do about it, or as it was where that is not known */
export function explainDirectory(error: unknown, { storage }: Config): unknown {
  if (error instanceof CatalogTooNewError || error instanceof LayoutTooNewError)
    return new ReportedError(error.message, error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const remedy = code === 'ENOENT' ? 'a part of its path cannot be made' : REFUSALS[code];
  if (!(error instanceof Error) || remedy === undefined) return error;
  return new ReportedError(
    `${storage.directory} cannot be used (${error.message}): ${remedy}, or choose another directory with --data DIR`,
    error,
  );
}

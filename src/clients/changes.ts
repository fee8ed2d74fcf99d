/** Owns what becomes of the files of a client: which text each gets, and what is kept from before. */
import { isDeepStrictEqual } from 'node:util';
import { about, backupOf, type ClientFiles } from './client-files.ts';
import { type FileEdit, UneditableError } from './edits/file-edit.ts';

/** What one file becomes. Texts have no byte order mark. */
export interface Change {
  path: string;
  /** `restored`: it is again what it was, byte for byte */
  kind: 'created' | 'changed' | 'removed' | 'restored' | 'unchanged';
  /** undefined where there is no file */
  before: string | undefined;
  after: string | undefined;
  /** what becomes of the copy from before: made, removed, or kept because the file was changed since */
  backup: 'make' | 'remove' | 'keep' | undefined;
}

/** @throws UneditableError with the path; nothing is to be changed then */
export function changesToWrite(edits: readonly FileEdit[], files: ClientFiles): Change[] {
  return edits.map((edit) => about(edit.path, () => changeToWrite(edit, files)));
}

/** @throws UneditableError with the path; nothing is to be changed then */
export function changesToUndo(edits: readonly FileEdit[], files: ClientFiles): Change[] {
  return edits.map((edit) => about(edit.path, () => changeToUndo(edit, files)));
}

function changeToWrite(edit: FileEdit, files: ClientFiles): Change {
  const { path } = edit;
  const before = files.read(path);
  const after = edit.add(before);
  if (after === before) return { path, kind: 'unchanged', before, after, backup: undefined };
  prove(edit, before, after);
  if (before === undefined) return { path, kind: 'created', before, after, backup: undefined };
  // With ours in it, it is no copy from before: one that is there is, and a file that is all ours has none.
  const isOurs = edit.has(before);
  const hasBackup =
    isOurs && (files.read(backupOf(path)) !== undefined || edit.isNothing(edit.remove(before, undefined)));
  return { path, kind: 'changed', before, after, backup: hasBackup ? undefined : 'make' };
}

/** Whatever the edit did: the file can be read, ours is in it once, and nothing else means anything else. */
function prove(edit: FileEdit, before: string | undefined, after: string): void {
  const was = edit.read(before ?? '');
  // Where nothing was said there is nothing to be kept, and more than the mirror can come.
  const isSame = isDeepStrictEqual(was, {}) || isDeepStrictEqual(edit.read(edit.remove(after, before)), was);
  if (!isSame || edit.add(after) !== after)
    throw new UneditableError(
      'it is written in a way that hubcap does not change: see what to put there without --write',
    );
}

function changeToUndo(edit: FileEdit, files: ClientFiles): Change {
  const { path } = edit;
  const now = files.read(path);
  if (now === undefined) return { path, kind: 'unchanged', before: now, after: now, backup: undefined };
  const backup = files.read(backupOf(path));
  const earlier = backup !== undefined && !edit.has(backup) ? backup : undefined;
  if (now.trim() !== '' && now === edit.add(earlier)) {
    if (earlier === undefined)
      return { path, kind: 'removed', before: now, after: undefined, backup: undefined };
    if (earlier !== now) return { path, kind: 'restored', before: now, after: earlier, backup: 'remove' };
  }
  const after = edit.remove(now, earlier);
  if (after === now) return { path, kind: 'unchanged', before: now, after, backup: undefined };
  if (backup === undefined && edit.isNothing(after))
    return { path, kind: 'removed', before: now, after: undefined, backup: undefined };
  return { path, kind: 'changed', before: now, after, backup: backup === undefined ? undefined : 'keep' };
}

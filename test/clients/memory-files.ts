/** Owns the files of a client in memory, as the changes of a plan make them. */
import { type Change, changesToUndo, changesToWrite } from '../../src/clients/changes.ts';
import { backupOf, type ClientFiles } from '../../src/clients/client-files.ts';
import { type FileClient, findMirrored, planFor, planUndo } from '../../src/clients/plan.ts';

export class MemoryFiles implements ClientFiles {
  readonly texts: Map<string, string>;

  constructor(texts: Readonly<Record<string, string>>) {
    this.texts = new Map(Object.entries(texts));
  }

  read(path: string): string | undefined {
    return this.texts.get(path);
  }

  list(path: string): string[] | undefined {
    const below = [...this.texts.keys()].filter((name) => name.startsWith(`${path}/`));
    const names = below.map((name) => name.slice(path.length + 1).split('/')[0] ?? '');
    return names.length === 0 ? undefined : [...new Set(names)].sort();
  }

  all(): Record<string, string> {
    return Object.fromEntries([...this.texts].sort());
  }

  /** @returns the kinds of the changes by path, without what is unchanged */
  apply(changes: readonly Change[]): Record<string, Change['kind']> {
    for (const { path, before, after, backup } of changes) {
      if (backup === 'make') this.texts.set(backupOf(path), before ?? '');
      if (backup === 'remove') this.texts.delete(backupOf(path));
      if (after === undefined) this.texts.delete(path);
      else this.texts.set(path, after);
    }
    const made = changes.filter(({ kind }) => kind !== 'unchanged');
    return Object.fromEntries(made.map(({ path, kind }) => [path, kind]));
  }

  write(client: FileClient, url: URL, upstreams: readonly string[]): Record<string, Change['kind']> {
    return this.apply(changesToWrite(planFor(client, { url, upstreams }, this).edits, this));
  }

  undo(client: FileClient, url: URL): Record<string, Change['kind']> {
    const upstreams = findMirrored(client, url, this);
    return this.apply(changesToUndo(planUndo(client, { url, upstreams }, this).edits, this));
  }

  /** Nobody has the copies from before any more. */
  loseBackups(): void {
    for (const path of this.texts.keys()) if (path.endsWith('.before-hubcap')) this.texts.delete(path);
  }
}

/** Owns what `hubcap setup` prints. */
import type { Change } from '../clients/changes.ts';
import { backupOf } from '../clients/client-files.ts';
import type { ClientSnippet, SnippetWish } from '../clients/snippet.ts';
import { printable } from './printable.ts';

/** @returns what to put where, to be copied; all else is a comment */
export function describeSnippet({ files, reload }: ClientSnippet, notes: readonly string[]): string {
  const blocks = files.map(({ path, text }) => `# ${path ?? 'as a command, or its flags'}\n${text}`);
  const then = isCommand(reload) ? `# then\n${reload}\n` : `# ${reload}\n`;
  return [...blocks, then, notes.map((note) => `# ${note}\n`).join('')]
    .filter((block) => block !== '')
    .join('\n');
}

function isCommand(reload: string): boolean {
  return reload.startsWith('systemctl ');
}

/** @returns one line per file, what is to be done then, and what to know */
export function describeChanges(
  changes: readonly Change[],
  { reload, notes, isDryRun }: { reload: string | undefined; notes: readonly string[]; isDryRun: boolean },
): string {
  const lines = changes.map((change) => `${describeChange(change, isDryRun)}\n`);
  const then = reload === undefined ? [] : [isCommand(reload) ? `then: ${reload}\n` : `${reload}\n`];
  return [...lines, ...(isDryRun ? [] : then), ...notes.map((note) => `note: ${note}\n`)].join('');
}

function describeChange(change: Change, isDryRun: boolean): string {
  const { path, kind, backup } = change;
  const copy = {
    make: `; what it was is kept in ${backupOf(path)}`,
    keep: `; it was changed since, and what it was before hubcap is still in ${backupOf(path)}`,
    remove: '',
  };
  const what = isDryRun && kind !== 'unchanged' ? `would be ${kind}` : kind;
  const line = `${path}: ${what}${(!isDryRun && backup && copy[backup]) || ''}`;
  return isDryRun ? [line, ...diff(change)].join('\n') : line;
}

const CONTEXT = 2;

/** The lines between what is the same at the beginning and at the end. */
function diff({ before = '', after = '' }: Change): string[] {
  if (before === after) return [];
  const [old, now] = [linesOf(before), linesOf(after)];
  const same = old.findIndex((line, index) => line !== now[index]);
  const start = same < 0 ? Math.min(old.length, now.length) : same;
  let end = 0;
  while (end < Math.min(old.length, now.length) - start && old.at(-1 - end) === now.at(-1 - end)) end += 1;
  const tail = old.slice(old.length - end);
  return [
    ...old.slice(Math.max(0, start - CONTEXT), start).map((line) => `  ${shown(line)}`),
    ...old.slice(start, old.length - end).map((line) => `- ${shown(line)}`),
    ...now.slice(start, now.length - end).map((line) => `+ ${shown(line)}`),
    ...tail.slice(0, CONTEXT).map((line) => `  ${shown(line)}`),
  ];
}

/** What stands beside the change may be a password, and who sees it may be many: it is the log of a build, say. */
function shown(line: string): string {
  const masked = line
    .replace(
      /((?:pass(?:word|wd|phrase)?|token|secret|auth(?:orization)?)["']?\s*[:=]\s*)[^\s{[].*$/i,
      '$1***',
    )
    .replace(/(:\/\/)[^/\s"'@]*@/g, '$1***@');
  return printable(masked);
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
}

/** @returns what a program gets for `--json` of a change */
export function changesDocument(
  wish: SnippetWish,
  changes: readonly Change[],
  rest: {
    client: string;
    action: 'write' | 'undo';
    isDryRun: boolean;
    reload: string | undefined;
    notes: string[];
  },
): object {
  const { isDryRun, reload = null, ...other } = rest;
  return {
    ...other,
    dryRun: isDryRun,
    url: wish.url.origin,
    upstreams: wish.upstreams,
    files: changes.map(({ path, kind, backup }) => ({
      path,
      result: kind,
      backup: backup === 'make' || backup === 'keep' ? backupOf(path) : null,
    })),
    reload,
  };
}

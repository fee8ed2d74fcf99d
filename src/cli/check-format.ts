/** Owns how findings are shown: grouped lines for people, one document for programs. Pure. */
import { countByStatus, type Finding, groups, type Status } from '../check/check.ts';
import { printable } from './printable.ts';

export interface Look {
  /** whether the terminal and the locale take more than ASCII */
  isUnicode: boolean;
  isColoured: boolean;
}

const UNICODE: Readonly<Record<Status, string>> = { ok: '✓', warning: '⚠', failed: '✗', skipped: '–' };
const ASCII: Readonly<Record<Status, string>> = {
  ok: '[ok]  ',
  warning: '[warn]',
  failed: '[FAIL]',
  skipped: '[skip]',
};
/** SGR: green, yellow, red, faint */
const COLOURS: Readonly<Record<Status, number>> = { ok: 32, warning: 33, failed: 31, skipped: 2 };

/** @param env of the process */
export function lookFrom(env: Readonly<Record<string, string | undefined>>, isTty: boolean): Look {
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || '';
  const isDumb = env.TERM === 'dumb';
  return {
    isUnicode: /utf-?8/i.test(locale) && !(isTty && (isDumb || env.TERM === 'linux')),
    isColoured: isTty && !env.NO_COLOR && !isDumb,
  };
}

/** @returns the lines: each finding, and below it what to do */
export function formatFindings(findings: readonly Finding[], look: Look): string {
  const marks = look.isUnicode ? UNICODE : ASCII;
  const arrow = look.isUnicode ? '→' : '->';
  const blocks = groups.flatMap((group) => {
    const lines = findings
      .filter((finding) => finding.group === group)
      .flatMap(({ status, message, remedy }) => [
        `  ${coloured(marks[status], COLOURS[status], look)} ${plain(message, look)}`,
        ...(remedy === undefined
          ? []
          : [`  ${' '.repeat(marks[status].length)} ${arrow} ${plain(remedy, look)}`]),
      ]);
    return lines.length === 0 ? [] : [`${coloured(group, 1, look)}\n${lines.join('\n')}\n`];
  });
  return `${blocks.join('\n')}\n${summary(findings)}\n`;
}

/** @returns what programs read: a fact's name never takes the place of a finding's */
export function toDocument(findings: readonly Finding[]): { ok: boolean; checks: object[] } {
  const checks = findings.map(({ facts, remedy, ...finding }) => ({
    ...finding,
    ...(remedy !== undefined && { remedy }),
    ...facts,
    ...finding,
  }));
  return { ok: countByStatus(findings).failed === 0, checks };
}

/** `12 right, 1 warning, 2 failed, 3 not looked at` */
export function summary(findings: readonly Finding[]): string {
  const { ok, warning, failed, skipped } = countByStatus(findings);
  const parts = [
    `${ok} right`,
    ...(warning > 0 ? [`${warning} ${warning === 1 ? 'warning' : 'warnings'}`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} not looked at`] : []),
  ];
  return parts.join(', ');
}

function coloured(text: string, code: number, { isColoured }: Look): string {
  return isColoured ? `\u001b[${code}m${text}\u001b[0m` : text;
}

/** Files hold anything; a terminal obeys some of it. */
function plain(text: string, { isUnicode }: Look): string {
  const line = printable(text);
  return isUnicode ? line : line.replace(/…/g, '...').replace(/[^\x20-\x7e]/gu, '?');
}

/** Owns what is wrong with a configuration: one problem, the error that reports all of them, and what they may show. */

const LIST = 'a list';
const MAPPING = 'a mapping';

/** One thing to correct. */
export interface Problem {
  /** Where it was written: `storage.maxSize`, `HUBCAP_MAX_SIZE`, `--max-size`. */
  path: string;
  /** What was written there, fit to be shown: see `presentable`. `undefined` where nothing was. */
  found: unknown;
  expected: string;
}

/** The configuration cannot be used. Carries every problem; its message lists them, one to a line, without secrets. */
export class ConfigError extends Error {
  readonly problems: readonly Problem[];
  /** one to a problem, as the message has them */
  readonly lines: readonly string[];
  /** The file that was read, if one was. */
  readonly file: string | undefined;

  constructor(problems: readonly Problem[], file?: string) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    const where = file === undefined ? '' : ` (${file})`;
    const lines = problems.map(describe);
    super([`${count} in the configuration${where}`, ...lines].join('\n  '));
    this.name = 'ConfigError';
    this.lines = lines;
    this.problems = problems;
    this.file = file;
  }
}

/**
 * A written value as it may be shown: no password, nothing that could be the userinfo or the query of a URL, and no
 * more of it than tells the reader which one is meant.
 */
export function presentable(path: readonly PropertyKey[], value: unknown): unknown {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object') return Array.isArray(value) ? LIST : MAPPING;
  // Whatever stands under credentials is taken for a secret unless it is known not to be one; a faulty user name may
  // well be `user:password`.
  const key = path.findLast((part) => typeof part === 'string');
  const isPublic = ['passwordFile', 'dockerConfig'].includes(String(key));
  if (path.includes('credentials') && !isPublic) return '***';
  return typeof value === 'string' ? withoutSecrets(value) : value;
}

/** Masks everything in front of an `@` and behind a `?`, where URLs keep secrets, and cuts long text. */
function withoutSecrets(text: string): string {
  // The content of a file where its path belongs: it may be a key.
  if (text.includes('-----BEGIN') || text.includes('\n')) return '***';
  const masked = text.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1***@').replace(/\?.*$/s, '?***');
  return masked.length > 100 ? `${masked.slice(0, 100)}…` : masked;
}

function describe({ path, found, expected }: Problem): string {
  const isQuoted = typeof found === 'string' && found !== LIST && found !== MAPPING;
  const shown = isQuoted ? JSON.stringify(found) : String(found);
  return `${path}: expected ${expected}${found === undefined ? '' : `, found ${shown}`}`;
}

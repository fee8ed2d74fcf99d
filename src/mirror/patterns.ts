/** Owns what patterns mean: `REPOSITORY` or `REPOSITORY:TAG`, where `*` is any run of characters, `/` too. Pure. */

/** Whether a pattern matches; a pattern that names a tag matches no repository as a whole (`tag` undefined). */
export type Matcher = (repository: string, tag: string | undefined) => boolean;

export interface TimedPattern {
  pattern: string;
  ttlMs: number;
}

/** Compiles a pattern. Matching takes time in proportion to the lengths alone: nothing is tried twice. */
export function compilePattern(pattern: string): Matcher {
  const colon = pattern.indexOf(':');
  if (colon < 0) return compileGlob(pattern);
  const [matchesRepository, matchesTag] = [pattern.slice(0, colon), pattern.slice(colon + 1)].map(
    compileGlob,
  );
  return (repository, tag) =>
    tag !== undefined && matchesTag?.(tag) === true && matchesRepository?.(repository) === true;
}

// A reload gives an upstream new lists, and never changes one: what was compiled of a list is true while it is in use.
const timed = new WeakMap<readonly TimedPattern[], { matches: Matcher; ttlMs: number }[]>();
const plain = new WeakMap<readonly string[], Matcher[]>();

/** @returns how long upstream's word on the tag holds: by the first pattern that matches, else as for all tags */
export function ttlOf(
  { freshness, tagTtlMs }: { freshness: readonly TimedPattern[]; tagTtlMs: number },
  repository: string,
  tag: string,
): number {
  if (freshness.length === 0) return tagTtlMs;
  let rules = timed.get(freshness);
  if (!rules) {
    rules = freshness.map(({ pattern, ttlMs }) => ({ matches: compilePattern(pattern), ttlMs }));
    timed.set(freshness, rules);
  }
  for (const { matches, ttlMs } of rules) if (matches(repository, tag)) return ttlMs;
  return tagTtlMs;
}

/** @returns whether one of the patterns matches the repository as a whole */
export function isListed(patterns: readonly string[], repository: string): boolean {
  if (patterns.length === 0) return false;
  let matchers = plain.get(patterns);
  if (!matchers) {
    matchers = patterns.map(compilePattern);
    plain.set(patterns, matchers);
  }
  return matchers.some((matches) => matches(repository, undefined));
}

/** Between its first and last part, each part of a glob is best taken where it comes first: nothing is gone back for. */
function compileGlob(glob: string): (text: string) => boolean {
  const [first = '', ...parts] = glob.split('*');
  const last = parts.pop();
  if (last === undefined) return (text) => text === first;
  const middle = parts.filter((part) => part !== '');
  return (text) => {
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
      return false;
    let position = first.length;
    for (const part of middle) {
      const found = text.indexOf(part, position);
      if (found < 0) return false;
      position = found + part.length;
    }
    return position <= text.length - last.length;
  };
}

/** Owns the reading of `WWW-Authenticate` (RFC 9110 §11.6.1; distribution, "Token Authentication"). Pure. */

export type Challenge =
  | { scheme: 'bearer'; realm: string; service: string | undefined; scope: string | undefined }
  | { scheme: 'basic' };

/** A longer header is no challenge that a registry sends. */
const MAX_LENGTH = 4096;

const PART =
  /(?:^[\s,]*|\s*,[\s,]*)(?:([A-Za-z][\w-]*)\s+)?([A-Za-z_][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))|(?:^[\s,]*|\s*,[\s,]*)([A-Za-z][\w-]*)\s*(?=,|$)/y;

/**
 * Chooses the challenge to answer: bearer before basic.
 * @param header the header's value; several may stand in one, separated by commas
 * @returns undefined where there is none that hubcap can answer
 */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  if (header === undefined || header.length > MAX_LENGTH) return undefined;
  const challenges = splitChallenges(header);
  const bearer = challenges.get('bearer');
  const realm = bearer?.get('realm');
  if (realm) return { scheme: 'bearer', realm, service: bearer?.get('service'), scope: bearer?.get('scope') };
  return challenges.has('basic') ? { scheme: 'basic' } : undefined;
}

function splitChallenges(header: string): Map<string, Map<string, string>> {
  const challenges = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  PART.lastIndex = 0;
  for (let match = PART.exec(header); match; match = PART.exec(header)) {
    const [, scheme, name, quoted, token, bareScheme] = match;
    const newScheme = scheme ?? bareScheme;
    if (newScheme) {
      current = new Map();
      challenges.set(newScheme.toLowerCase(), current);
    }
    if (name) current?.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token ?? '');
  }
  return challenges;
}

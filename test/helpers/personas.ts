/** Owns the ways in which upstreams misbehave; each can stand alone or be combined. */
import { gzipSync } from 'node:zlib';
import type { Answer, Asked, Persona, PersonaServer } from './persona-server.ts';
import type { TokenServer } from './token-server.ts';

/** Plays `persona` for the requests that match alone. */
export function only(matches: (asked: Asked) => boolean, persona: Persona): Persona {
  return (asked, answer) => (matches(asked) ? persona(asked, answer) : answer());
}

export const blobs = ({ path }: Asked): boolean => path.includes('/blobs/');
export const blobDownloads = (asked: Asked): boolean => asked.method === 'GET' && blobs(asked);
export const pulls = ({ method, path }: Asked): boolean => method === 'GET' && path.includes('/manifests/');
export const manifests = ({ path }: Asked): boolean => path.includes('/manifests/');

/** Plays `persona` for the first `times` requests. */
export function times(count: number, persona: Persona): Persona {
  let left = count;
  return (asked, answer) => (left-- > 0 ? persona(asked, answer) : answer());
}

/** The first request meets the first persona, and so on; those after the last meet `then`, or a plain upstream. */
export function inTurn(first: readonly Persona[], then?: Persona): Persona {
  let turn = 0;
  return (asked, answer) => (first[turn++] ?? then)?.(asked, answer) ?? answer();
}

const never = new Promise<void>(() => undefined);

/** Sends no faster than this until it is lifted. */
export function paced(bytesPerS: number, lifted = never): Persona {
  return async (_asked, answer) => ({ ...(await answer()), pace: { bytesPerS, lifted } });
}

/** Ends the connection by a reset after so many bytes of a body: what is on its way may be lost. */
export function resetting(afterBytes: number): Persona {
  return async (_asked, answer) => ({ ...(await answer()), breakAfter: afterBytes, isReset: true });
}

/** Answers with a status instead: 5xx, 429 with `Retry-After`, 403. */
export function failing(status: number, headers: Record<string, string> = {}): Persona {
  return () => ({ status, headers });
}

/** What Docker Hub says to an account that has pulled all that it may. */
export function outOfPulls(headers: Record<string, string> = {}): Persona {
  return () => tooMany('You have reached your pull rate limit.', headers);
}

/** What Docker Hub says to an address that asks too often, whoever asks and for whatever. */
export function askedTooOften(headers: Record<string, string> = {}): Persona {
  return () => tooMany('Too Many Requests (HAP429)', headers);
}

function tooMany(message: string, headers: Record<string, string>): Answer {
  return {
    status: 429,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS', message }] })),
  };
}

/** Takes the request and says nothing until the gate opens. */
export function silent(gate: Promise<void>): Persona {
  return async (_asked, answer) => {
    await gate;
    return await answer();
  };
}

/** Sends a part of the body and then nothing more until the gate opens. */
export function stalling(at: number, gate: Promise<void>): Persona {
  return async (_asked, answer) => ({ ...(await answer()), hold: { at, gate } });
}

/** Ends the connection after so many bytes of a body. */
export function breaking(afterBytes: number): Persona {
  return async (_asked, answer) => ({ ...(await answer()), breakAfter: afterBytes });
}

/** Flips one bit of the body: by default in its middle. */
export function corrupting(at?: number): Persona {
  return async (_asked, answer) => {
    const plain = await answer();
    if (!plain.body || plain.body.length === 0) return plain;
    const body = Buffer.from(plain.body);
    const position = at ?? body.length >> 1;
    body.writeUInt8(body.readUInt8(position) ^ 1, position);
    return { ...plain, body };
  };
}

/** What captive portals and broken load balancers say. */
export function htmlWith200(): Persona {
  return () => ({
    status: 200,
    headers: { 'content-type': 'text/html' },
    body: Buffer.from('<html><body>Please log in</body></html>'),
  });
}

/** Encodes although `identity` was asked for. */
export function gzipping(): Persona {
  return async (_asked, answer) => {
    const plain = await answer();
    if (!plain.body) return plain;
    const { 'content-length': _length, ...headers } = plain.headers ?? {};
    return { ...plain, headers: { ...headers, 'content-encoding': 'gzip' }, body: gzipSync(plain.body) };
  };
}

/** Knows no ranges: answers with the whole. */
export function withoutRanges(): Persona {
  return async (asked, answer) => {
    delete asked.headers.range;
    const plain = await answer();
    return { ...plain, headers: { ...plain.headers, 'accept-ranges': 'none' } };
  };
}

/** Does not say how long its bodies are. */
export function chunked(): Persona {
  return async (_asked, answer) => ({ ...(await answer()), isChunked: true });
}

/** Wants a token for everything; accepts those that the token server issued and that have not ended. */
export function tokened(server: TokenServer, realm = `${server.url}/token`): Persona {
  return (asked, answer) => {
    const repository = asked.path.match(/^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//)?.[1];
    const scope = `repository:${repository}:pull`;
    const sent = asked.headers.authorization;
    if (sent?.startsWith('Bearer ') && server.isValid(sent.slice(7), scope)) return answer();
    const challenge = `Bearer realm="${realm}",service="registry.test",scope="${scope}"`;
    return {
      status: 401,
      headers: { 'www-authenticate': challenge, 'content-type': 'application/json' },
      body: Buffer.from('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'),
    };
  };
}

export interface Meter {
  /** by account, `anonymous` included: pulls that it has left */
  left: Record<string, number>;
  /** what is said of it; undefined: upstream keeps silent about its limits */
  said?: { limit: number; windowS: number };
  retryAfterS?: number;
  /** who asked, for each manifest that was given or refused */
  readonly pulled: string[];
}

/** Counts pulls by account and refuses those who have none left, as Docker Hub does. Stands inside `tokened`. */
export function metered(server: TokenServer, meter: Meter): Persona {
  return async (asked, answer) => {
    if (!manifests(asked)) return await answer();
    const holder = server.holderOf(asked.headers.authorization?.slice('Bearer '.length) ?? '');
    const left = meter.left[holder] ?? 0;
    const isOut = pulls(asked) && left === 0;
    if (pulls(asked)) {
      meter.pulled.push(`${holder} ${isOut ? 429 : 200}`);
      meter.left[holder] = Math.max(0, left - 1);
    }
    const window = meter.said && `;w=${meter.said.windowS}`;
    const said = meter.said && {
      'ratelimit-limit': `${meter.said.limit}${window}`,
      'ratelimit-remaining': `${meter.left[holder] ?? 0}${window}`,
      'docker-ratelimit-source': `id-of-${holder}`,
    };
    const retryAfter = meter.retryAfterS && { 'retry-after': String(meter.retryAfterS) };
    const plain = await (isOut ? outOfPulls({ ...retryAfter })(asked, answer) : answer());
    return { ...plain, headers: { ...plain.headers, ...said } };
  };
}

/** Sends blob requests to a CDN, with addresses that are signed afresh each time. */
export function redirecting(cdn: PersonaServer & { sign(path: string): string }, status = 307): Persona {
  return async (asked, answer) => {
    if (!blobs(asked)) return await answer();
    const range = asked.headers.range;
    delete asked.headers.range; // the registry looks whether it has the blob; the range is the CDN's business
    const found = await answer();
    if (range !== undefined) asked.headers.range = range;
    if (found.status !== 200) return found;
    const digest = asked.path.slice(asked.path.lastIndexOf('/') + 1);
    return { status, headers: { location: cdn.sign(`/${digest}`) } };
  };
}

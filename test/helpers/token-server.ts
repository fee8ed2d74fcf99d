/** Owns a token server for tests: counts, remembers what credentials it was shown, issues tokens that can end. */
import type { TlsOptions } from 'node:tls';
import type { Test } from 'tap';
import { type Answer, type Asked, type PersonaServer, startPersonaServer } from './persona-server.ts';

export interface TokenServer extends PersonaServer {
  /** `expires_in` of the next tokens; undefined leaves it out */
  lifeS: number | undefined;
  /** the names under which the next tokens are given */
  fields: ('token' | 'access_token')[];
  /** false: GET is answered with 405, as by a server that only speaks OAuth2 */
  speaksGet: boolean;
  /** every token that was issued */
  readonly issued: readonly string[];
  /** `Authorization` headers and form fields that it was shown */
  readonly shown: readonly string[];
  isValid(token: string, scope: string): boolean;
  /** the user name that was shown for a token; `anonymous` where none was */
  holderOf(token: string): string;
  /** ends every token that was issued so far */
  revokeAll(): void;
}

export interface TokenServerOptions {
  /** who may have tokens; everybody where it is left out */
  login?: { username: string; password: string };
  /** which repositories strangers get a token for, too */
  isPublic?: (repository: string) => boolean;
  /** strangers are given a token for the others as well, as at the Hub; it opens nothing */
  isGenerous?: boolean;
  /** others who may */
  logins?: { username: string; password: string }[];
  refreshToken?: string;
  tls?: TlsOptions;
}

export async function startTokenServer(t: Test, options: TokenServerOptions = {}): Promise<TokenServer> {
  const issued: string[] = [];
  const shown: string[] = [];
  const valid = new Map<string, string>();
  const holders = new Map<string, string>();
  const logins = new Map(
    [options.login ?? [], options.logins ?? []].flat().map(({ username, password }) => {
      return [`Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`, username];
    }),
  );
  const isOpen = logins.size === 0;
  const plain = (asked: Asked): Answer => {
    const { method, headers, query, form } = asked;
    if (headers.authorization !== undefined) shown.push(headers.authorization);
    for (const [name, value] of form) shown.push(`${name}=${value}`);
    if (method === 'GET' && !self.speaksGet) return { status: 405 };
    const scope = (method === 'GET' ? query : form).get('scope') ?? '';
    const isStranger = !isOpen && method === 'GET' && headers.authorization === undefined;
    const isForAll = options.isPublic?.(scope.replace(/^repository:(.+):pull$/, '$1')) ?? false;
    const isWelcome = isStranger && (isForAll || options.isGenerous === true);
    const isLetIn =
      isWelcome ||
      (method === 'GET'
        ? isOpen || logins.has(headers.authorization ?? '')
        : form.get('grant_type') === 'refresh_token'
          ? form.get('refresh_token') === options.refreshToken
          : form.get('username') === options.login?.username &&
            form.get('password') === options.login?.password);
    if (!isLetIn) return { status: 401 };
    const token = `secret-token-${issued.length}-${server.host.replace(/\D/g, '')}`;
    issued.push(token);
    holders.set(token, logins.get(headers.authorization ?? '') ?? 'anonymous');
    valid.set(token, isStranger && !isForAll ? '' : scope);
    const answer: Record<string, unknown> = Object.fromEntries(self.fields.map((name) => [name, token]));
    if (self.lifeS !== undefined) answer.expires_in = self.lifeS;
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(answer)),
    };
  };
  const server = await startPersonaServer(t, plain, options.tls);
  const self: TokenServer = Object.assign(Object.create(server) as PersonaServer, {
    lifeS: 300 as number | undefined,
    fields: ['token', 'access_token'] as ('token' | 'access_token')[],
    speaksGet: true,
    issued,
    shown,
    isValid: (token: string, scope: string) => valid.get(token) === scope,
    holderOf: (token: string) => holders.get(token) ?? 'anonymous',
    revokeAll: () => valid.clear(),
  });
  return self;
}

/** Owns a token server as the distribution project specifies it, which counts what it hands out. */

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Test } from 'tap';
import { type Access, makeSigningKey } from './signing-key.ts';

/** The account that may push. Everyone else may pull. */
export const pusher = { username: 'pusher', password: 'correct horse battery staple' } as const;

export interface TokenServer {
  /** The URL that a registry names as its realm. */
  realm: string;
  service: string;
  issuer: string;
  certificateFile: string;
  /** How many tokens have been handed out that allow just this. */
  issued(repository: string, actions?: string): number;
}

interface Question {
  service: string;
  scopes: string[];
  /** The account that asks, `anonymous`, or undefined where the login is wrong. */
  account: string | undefined;
  wantsRefreshToken: boolean;
}

const lifetimeSeconds = 300;
const service = 'upstream.test';
const issuer = 'tokens.test';

/** Starts a token server on a free port: `GET` (anonymous or Basic) and `POST` (OAuth2 form). */
export async function startTokenServer(t: Test): Promise<TokenServer> {
  const key = await makeSigningKey(t);
  const counts = new Map<string, number>();
  const refreshTokens = new Map<string, string>();

  const server = createServer(async (request, response) => {
    const question = await readQuestion(request, refreshTokens);
    const { account } = question;
    if (account === undefined || question.service !== service) {
      return answer(response, 401, { errors: [{ code: 'UNAUTHORIZED', message: 'who are you?' }] });
    }
    const access = question.scopes.flatMap((scope) => grant(scope, account));
    for (const { name, actions } of access) increment(counts, `${name}:${actions.join(',')}`);
    const token = key.sign({ issuer, audience: service, subject: account, access, lifetimeSeconds });
    const refreshToken = question.wantsRefreshToken ? randomUUID() : undefined;
    if (refreshToken !== undefined) refreshTokens.set(refreshToken, account);
    answer(response, 200, {
      token,
      access_token: token,
      expires_in: lifetimeSeconds,
      issued_at: new Date().toISOString(),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });

  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port', { cause: address });
  return {
    realm: `http://127.0.0.1:${address.port}/token`,
    service,
    issuer,
    certificateFile: key.certificateFile,
    issued: (repository, actions = 'pull') => counts.get(`${repository}:${actions}`) ?? 0,
  };
}

async function readQuestion(
  request: IncomingMessage,
  refreshTokens: ReadonlyMap<string, string>,
): Promise<Question> {
  const url = new URL(request.url ?? '/', 'http://tokens.test');
  const isForm = request.method === 'POST';
  const parameters = isForm ? new URLSearchParams(await text(request)) : url.searchParams;
  return {
    service: parameters.get('service') ?? '',
    scopes: parameters.getAll('scope').flatMap((scope) => scope.split(' ')),
    account: isForm
      ? accountOfForm(parameters, refreshTokens)
      : accountOfBasic(request.headers.authorization),
    wantsRefreshToken:
      parameters.get('access_type') === 'offline' || parameters.get('offline_token') === 'true',
  };
}

function accountOfForm(
  parameters: URLSearchParams,
  refreshTokens: ReadonlyMap<string, string>,
): string | undefined {
  if (parameters.get('grant_type') === 'refresh_token') {
    return refreshTokens.get(parameters.get('refresh_token') ?? '');
  }
  return login(parameters.get('username') ?? '', parameters.get('password') ?? '');
}

function accountOfBasic(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return 'anonymous';
  const [scheme, encoded = ''] = authorization.split(' ');
  if (scheme?.toLowerCase() !== 'basic') return undefined;
  const [username = '', ...password] = Buffer.from(encoded, 'base64').toString().split(':');
  return login(username, password.join(':'));
}

function login(username: string, password: string): string | undefined {
  return username === pusher.username && password === pusher.password ? username : undefined;
}

/** `repository:library/app:pull,push` → what the account may do of it. A name may hold a port's colon. */
function grant(scope: string, account: string): Access[] {
  const parts = scope.split(':');
  const [type, name] = [parts[0], parts.slice(1, -1).join(':')];
  if (type === undefined || name === '') return [];
  const allowed = account === pusher.username ? ['pull', 'push'] : ['pull'];
  return [{ type, name, actions: (parts.at(-1) ?? '').split(',').filter((a) => allowed.includes(a)) }];
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

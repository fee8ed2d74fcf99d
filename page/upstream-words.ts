/** Owns how an upstream is doing, in words: whether it is asked, why not, how many pulls are left. Pure. */
import type { AccountStatus, PageStatus } from '../src/admin/status.ts';
import { formatCount, formatSpan, formatUntil } from './words.ts';

type Upstream = PageStatus['upstreams'][number];
type Endpoint = Upstream['endpoints'][number];

/** `good` needs nobody; `warn` is served with less; `bad` is not served where it is not known; `off` is wanted so. */
export type Level = 'good' | 'warn' | 'bad' | 'off';

export interface UpstreamWords {
  level: Level;
  /** one or two words */
  label: string;
  /** what it means, undefined where all is well */
  detail: string | undefined;
}

/** @returns how the upstream is, as far as it concerns who pulls from it */
export function upstreamWords(upstream: Upstream, isOffline: boolean, nowMs: number): UpstreamWords {
  const { endpoints, restingUntil, accounts } = upstream;
  if (isOffline)
    return { level: 'off', label: 'not asked', detail: 'hubcap is offline: it serves what is here.' };
  const resting = timeAfter(restingUntil, nowMs);
  if (resting !== undefined)
    return {
      level: 'bad',
      label: 'resting',
      detail: `It limits requests from here. It is asked again at ${formatUntil(resting, nowMs)}; until then what is here is served.`,
    };
  const down = endpoints.filter(({ state }) => state === 'down');
  if (endpoints.length > 0 && down.length === endpoints.length)
    return {
      level: 'bad',
      label: 'down',
      detail: 'What is here is served, unconfirmed. What is not here fails.',
    };
  const pulls = pullsRestUntil(accounts, nowMs);
  if (pulls !== undefined)
    return {
      level: 'bad',
      label: 'no pulls left',
      detail: `Nothing new is pulled until ${formatUntil(pulls, nowMs)}; what is here is served.`,
    };
  if (down.length > 0)
    return {
      level: 'warn',
      label: 'partly down',
      detail: `${down.length} of ${endpoints.length} addresses ${down.length === 1 ? 'fails' : 'fail'}; another one serves.`,
    };
  if (endpoints.some(({ state }) => state === 'slow'))
    return { level: 'warn', label: 'slow', detail: 'It is asked only for what is not known.' };
  return { level: 'good', label: 'up', detail: undefined };
}

const REASONS: Readonly<Record<string, string>> = {
  dns: 'its name leads nowhere (DNS)',
  refused: 'it refuses connections',
  tls: 'its certificate is not accepted (TLS)',
  reset: 'it breaks connections off',
  timeout: 'it does not answer in time',
  'server-error': 'it answers with errors of its own (5xx)',
  throttled: 'it limits requests',
  denied: 'it refuses access',
  'untrusted-realm': 'it sends logins to a host that is not trusted',
  token: 'its token server gives no token',
  'bad-answer': 'its answers are not those of a registry',
  html: 'it answers with a web page, as login portals do',
  redirect: 'it redirects to where nothing is fetched from',
  offline: 'hubcap is offline',
};

/** @returns what is wrong at an address, undefined where nothing is */
export function endpointWords({ state, reason, message }: Endpoint): string | undefined {
  if (state === 'up') return undefined;
  const why = reason === undefined ? state : (REASONS[reason] ?? reason);
  return message === undefined ? why : `${why} (${message})`;
}

/** What is known of an account. */
export interface AccountWords {
  account: string;
  /** pulls left and how many there are, where upstream says both */
  left: { remaining: number; limit: number } | undefined;
  text: string;
  level: Level;
}

/** @returns the accounts of which there is something to say */
export function accountWords(accounts: readonly AccountStatus[], nowMs: number): AccountWords[] {
  return accounts.filter(isTelling).map((account) => {
    const { limit, remaining, windowS } = account;
    const rejected = timeAfter(account.rejectedUntil, nowMs);
    const resting = timeAfter(account.restingUntil, nowMs);
    const per = windowS === undefined ? '' : ` per ${formatSpan(windowS * 1000)}`;
    const of = limit === undefined ? '' : ` of ${formatCount(limit)}`;
    const parts = [
      rejected !== undefined && `login refused, tried again at ${formatUntil(rejected, nowMs)}`,
      resting !== undefined && `pulls again at ${formatUntil(resting, nowMs)}`,
      remaining !== undefined && `${formatCount(remaining)}${of} pulls left${per}`,
    ].filter((text) => text !== false);
    return {
      account: account.account,
      left: limit !== undefined && remaining !== undefined ? { remaining, limit } : undefined,
      text: parts.length === 0 ? 'pulls are not counted' : parts.join('; '),
      level: rejected !== undefined || resting !== undefined ? 'bad' : isLow(account) ? 'warn' : 'good',
    };
  });
}

/** @returns whether less than a tenth of the pulls is left */
export function isLow({ limit, remaining }: AccountStatus): boolean {
  return limit !== undefined && remaining !== undefined && remaining < limit / 10;
}

/** Who asks without a login and was never counted is not worth a line. */
function isTelling({ account, remaining, restingUntil, rejectedUntil }: AccountStatus): boolean {
  const isKnown = [remaining, restingUntil, rejectedUntil].some((fact) => fact !== undefined);
  return isKnown || !/^anonymous(@|$)/.test(account);
}

/** Until one of them pulls again; undefined while one does. */
function pullsRestUntil(accounts: readonly AccountStatus[], nowMs: number): number | undefined {
  const rests = accounts.map(
    (account) => timeAfter(account.restingUntil, nowMs) ?? timeAfter(account.rejectedUntil, nowMs),
  );
  if (rests.length === 0 || rests.some((rest) => rest === undefined)) return undefined;
  return Math.min(...rests.filter((rest) => rest !== undefined));
}

function timeAfter(iso: string | undefined, nowMs: number): number | undefined {
  const atMs = iso === undefined ? Number.NaN : Date.parse(iso);
  return atMs > nowMs ? atMs : undefined;
}

/** Owns what a 429 imposes: which limit it is about, who rests for it, and until when. */
import type { Account } from './account.ts';
import type { Accounts, Errand } from './accounts.ts';
import { UpstreamError } from './errors.ts';
import { type LimitKind, limitOf, parseRateLimit, parseRetryAfter, pullsRestMs } from './rate-limit.ts';
import { type Answer, discardBody, readSmall } from './transport.ts';

export interface Refused {
  accounts: Accounts;
  account: Account;
  errand: Errand;
  /** a 429; its body is consumed */
  answer: Answer;
  /** who answered */
  host: string;
  now: () => number;
}

/** Has the account, or all of them, rest. @returns the error that says so */
export async function imposeLimit(refused: Refused): Promise<UpstreamError> {
  const { accounts, account, errand, answer, host, now } = refused;
  const { isPull } = errand;
  const rateLimit = parseRateLimit(answer.header);
  const namedMs = parseRetryAfter(answer.header('retry-after'), now());
  const body = isPull ? await readExcuse(answer, host) : undefined;
  if (!isPull) await discardBody(answer);
  const limit = limitOf({ isPull, rateLimit, body });
  if (limit === 'requests') {
    accounts.requests.begin(namedMs);
    return throttled(`${host} limits the rate`, host, limit, accounts.requests.leftMs);
  }
  const windowS = rateLimit?.windowS ?? account.rateLimit?.windowS;
  accounts.exhaust(account, pullsRestMs(namedMs, windowS));
  return throttled(`${host} allows no more pulls for now`, host, limit, account.pulls.leftMs);
}

/** @param isFromMemory nobody was asked for this one */
export function throttled(
  message: string,
  host: string,
  limit: LimitKind,
  retryAfterMs: number,
  isFromMemory = false,
): UpstreamError {
  const facts = { reason: 'throttled', limit, host, status: 429, retryAfterMs, isFromMemory } as const;
  return new UpstreamError(message, facts);
}

/** What a 429 says for itself. An answer that is broken or too long says nothing. */
async function readExcuse(answer: Answer, host: string): Promise<string | undefined> {
  try {
    return (await readSmall(answer, host, MAX_EXCUSE_BYTES)).toString('utf8');
  } catch {
    return undefined; // its status was said before it broke, and that is what counts
  }
}

const MAX_EXCUSE_BYTES = 16 * 1024;

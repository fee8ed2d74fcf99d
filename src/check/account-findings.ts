/** Owns what is said of an account after it has asked: what it may, why not, and how many pulls it has left. Pure. */

import { formatDuration } from '../units.ts';
import { UpstreamError } from '../upstream/errors.ts';
import type { RateLimit } from '../upstream/rate-limit.ts';
import { type Facts, type Finding, voiceOf } from './check.ts';
import type { Place, ProbeImage } from './upstream.ts';

const say = voiceOf('upstreams');
/** Fewer of a limit are worth a word. */
const FEW_SHARE = 0.1;

/** What became of one account's question. */
export interface AccountOutcome {
  name: string;
  /** what came back: undefined where an error did */
  answer: 'manifest' | 'absent' | 'other' | undefined;
  error: unknown;
  hasToken: boolean;
  limit: RateLimit | undefined;
}

/** @param isNamed whether it was asked with a login */
export function judgeAccount(
  place: Place,
  image: ProbeImage,
  outcome: AccountOutcome,
  isNamed: boolean,
): Finding {
  const { name, answer, error, hasToken, limit } = outcome;
  const who = isNamed ? `as ${name}` : 'without a login';
  const shown = `${place.upstream.host}/${image.repository}:${image.reference}`;
  const facts = {
    ...factsOf(place),
    account: name,
    image: image.isMadeUp ? undefined : shown,
    ...limitFacts(limit),
  };
  const id = isNamed ? 'upstream.account' : 'upstream.anonymous';
  if (answer === 'manifest') return withLimit(id, `${shown} can be asked for ${who}`, limit, place, facts);
  if (answer === 'absent') {
    if (image.isMadeUp)
      return withLimit(id, `${place.upstream.host} accepts the login of ${name}`, limit, place, facts);
    return say.warning(
      id,
      `${place.upstream.host} has no ${image.repository}:${image.reference}`,
      'name an image that it has with --image',
      facts,
    );
  }
  if (answer === 'other')
    return say.failed(
      id,
      `${place.endpoint.url.host} sends something in place of a manifest`,
      'a login page or a proxy answers in its place',
      facts,
    );
  return judgeError(id, place, image, { who, isNamed, hasToken, error }, facts);
}

function judgeError(
  id: string,
  place: Place,
  image: ProbeImage,
  { who, isNamed, hasToken, error }: { who: string; isNamed: boolean; hasToken: boolean; error: unknown },
  facts: Facts,
): Finding {
  const reason = error instanceof UpstreamError ? error.reason : undefined;
  const why = error instanceof Error ? error.message : String(error);
  const told = { ...facts, reason };
  if (reason === 'throttled') return throttled(id, place, error as UpstreamError, who, told);
  if (reason === 'untrusted-realm') return say.failed(id, why, 'see `realms` in hubcap.example.yaml', told);
  if (reason === 'denied' && isNamed && image.isMadeUp && hasToken)
    return say.ok(id, `${place.upstream.host} accepts the login ${who}`, told);
  if (reason === 'denied' && isNamed && image.isMadeUp)
    return say.warning(
      id,
      `${why}, or what was asked for, which is made up`,
      `name an image that it may read: --image ${place.upstream.host}/OWNER/APP`,
      told,
    );
  if (reason === 'denied' && !isNamed)
    return say.warning(
      id,
      `${place.upstream.host} gives ${image.repository} to nobody without a login`,
      place.endpoint.credentials.length > 0
        ? `that is meant to be so where \`private\` lists it`
        : `add credentials to ${place.upstream.host}`,
      told,
    );
  if (reason === 'denied')
    return say.failed(
      id,
      `${why} (${who})`,
      'correct the user name and the password or token; make sure that it has not ended',
      told,
    );
  if (reason === 'token' && isNamed && error instanceof Error && error.cause !== undefined)
    return say.failed(id, causeOf(error), 'correct the file, or log in again', told);
  const late =
    reason === 'timeout'
      ? 'a token server or the registry is silent: try again; a firewall may drop it'
      : 'try again later; see its status page';
  return say.failed(id, `${why} (asked ${who})`, late, told);
}

function throttled(
  id: string,
  place: Place,
  { limit, retryAfterMs }: UpstreamError,
  who: string,
  facts: Facts,
): Finding {
  const until =
    retryAfterMs === undefined ? '' : ` for ${formatDuration(Math.ceil(retryAfterMs / 1000) * 1000)}`;
  const message = `${place.upstream.host} limits the rate ${who} (429)${until}`;
  const remedy =
    limit === 'pulls'
      ? 'wait, or add an account under credentials'
      : 'wait: it limits this address, whoever asks';
  return say.warning(id, message, remedy, facts);
}

/** HEAD costs no pull, and says how many are left. */
function withLimit(
  id: string,
  message: string,
  limit: RateLimit | undefined,
  place: Place,
  facts: Facts,
): Finding {
  if (limit?.remaining === undefined) return say.ok(id, message, facts);
  const window = limit.windowS === undefined ? '' : ` in ${formatDuration(limit.windowS * 1000)}`;
  const left = `${limit.remaining} of ${limit.limit ?? '?'} pulls${window} left`;
  if (limit.remaining > (limit.limit ?? 0) * FEW_SHARE) return say.ok(id, `${message}: ${left}`, facts);
  const remedy = `wait, or add an account under credentials of ${place.upstream.host}`;
  return say.warning(id, `${message}: ${left}`, remedy, facts);
}

/** Names the file or the helper, never a secret. */
function causeOf({ message, cause }: Error): string {
  return cause instanceof Error ? cause.message : message;
}

export function factsOf({ upstream, endpoint }: Place): Facts {
  return { upstream: upstream.host, url: endpoint.url.href };
}

function limitFacts(limit: RateLimit | undefined): Facts {
  if (!limit) return {};
  return { limit: limit.limit, remaining: limit.remaining, windowS: limit.windowS };
}

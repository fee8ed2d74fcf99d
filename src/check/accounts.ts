/** Owns the check of who may ask an upstream: each account by itself, and how many pulls it has left. */
import type { CredentialConfig } from '../config/schema.ts';
import { MANIFEST_ACCEPT } from '../oci/media-types.ts';
import { parseRepository } from '../oci/reference.ts';
import { formatDuration } from '../units.ts';
import { isHeadOfManifest, isHtml } from '../upstream/answers.ts';
import { Asker, type UpstreamObserver } from '../upstream/asker.ts';
import type { Challenge } from '../upstream/challenge.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { OfflineSwitch } from '../upstream/offline-switch.ts';
import type { RateLimit } from '../upstream/rate-limit.ts';
import { followRedirects } from '../upstream/redirects.ts';
import { discardBody } from '../upstream/transport.ts';
import { type Facts, type Finding, voiceOf } from './check.ts';
import { stepSignal } from './deadline.ts';
import type { Place, ProbeImage } from './upstream.ts';

const say = voiceOf('upstreams');
/** Fewer of a limit are worth a word. */
const FEW_SHARE = 0.1;

/** What became of one account's question. */
interface Outcome {
  name: string;
  /** what came back: undefined where an error did */
  answer: 'manifest' | 'absent' | 'other' | undefined;
  error: unknown;
  hasToken: boolean;
  limit: RateLimit | undefined;
}

/** Asks anonymously and with each account, one after the other: a wrong password is shown once. */
export async function checkAccounts(
  place: Place,
  challenge: Challenge | undefined,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { credentials } = place.endpoint;
  const named = credentials.filter(({ kind }) => kind !== 'anonymous');
  const findings: Finding[] = [];
  if (place.image && challenge?.scheme !== 'basic')
    findings.push(
      judge(place, place.image, await ask(place, { kind: 'anonymous' }, place.image, signal), false),
    );
  for (const credential of named) {
    const image = place.image ?? madeUpImage();
    if (!image) continue;
    const outcome = await ask(place, credential, image, signal);
    const isAbsent = credential.kind === 'dockerConfig' && outcome.name === 'anonymous';
    findings.push(isAbsent ? noLogin(place, credential.file) : judge(place, image, outcome, true));
  }
  if (challenge?.scheme === 'basic' && named.length === 0) {
    const message = `${place.endpoint.url.host} wants a login, and no account is configured`;
    findings.push(
      say.failed('upstream.login', message, `add credentials to ${place.upstream.host}`, factsOf(place)),
    );
  }
  return findings;
}

/** It is then asked as by anybody, which is not what was meant. */
function noLogin(place: Place, file: string): Finding {
  const message = `${file} is not there, or has no login for ${place.upstream.host}: it is asked without one`;
  const remedy = 'log in with `docker login` as the user of that file, or take it out of credentials';
  return say.warning('upstream.account', message, remedy, { ...factsOf(place), file });
}

/** What is asked for shows whether a login is accepted, even where it is not there. */
function madeUpImage(): ProbeImage | undefined {
  const repository = parseRepository('hubcap/check');
  return repository && { repository, reference: 'latest', isMadeUp: true };
}

async function ask(
  place: Place,
  credential: CredentialConfig,
  image: ProbeImage,
  signal: AbortSignal,
): Promise<Outcome> {
  const outcome: Outcome = {
    name: '',
    answer: undefined,
    error: undefined,
    hasToken: false,
    limit: undefined,
  };
  const asker = makeAsker(place, credential, outcome);
  const step = stepSignal(signal, place.stepMs);
  try {
    const question = {
      method: 'HEAD',
      headers: { accept: MANIFEST_ACCEPT },
      signal: step,
      lane: 'short',
    } as const;
    const { repository, reference } = image;
    const first = await asker.ask({
      ...question,
      kind: 'manifest',
      repository,
      path: `manifests/${reference}`,
    });
    const answer =
      first.status === 404
        ? first
        : await followRedirects(asker.transport, place.endpoint.url, first, question, true);
    await discardBody(answer);
    const isManifest = answer.status === 200 && !isHtml(answer) && isHeadOfManifest(answer);
    outcome.answer = answer.status === 404 ? 'absent' : isManifest ? 'manifest' : 'other';
  } catch (error) {
    signal.throwIfAborted();
    outcome.error = error;
  } finally {
    outcome.name = asker.accounts[0]?.account ?? 'anonymous';
    await asker.transport.close();
  }
  return outcome;
}

function makeAsker(
  { upstream, endpoint, proxy }: Place,
  credential: CredentialConfig,
  outcome: Outcome,
): Asker {
  const ignore = (): void => undefined;
  const observer: UpstreamObserver = {
    answered: ignore,
    received: ignore,
    token: (result) => {
      if (result === 'fetched') outcome.hasToken = true;
    },
    rateLimit: (limit) => {
      outcome.limit = limit;
    },
    resumed: ignore,
    rejected: ignore,
    failed: ignore,
    endpoint: ignore,
  };
  return new Asker({
    ...upstream,
    ...endpoint,
    credentials: [credential],
    proxy,
    offline: new OfflineSwitch(false),
    observer,
    now: Date.now,
  });
}

function judge(place: Place, image: ProbeImage, outcome: Outcome, isNamed: boolean): Finding {
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

function factsOf({ upstream, endpoint }: Place): Facts {
  return { upstream: upstream.host, url: endpoint.url.href };
}

function limitFacts(limit: RateLimit | undefined): Facts {
  if (!limit) return {};
  return { limit: limit.limit, remaining: limit.remaining, windowS: limit.windowS };
}

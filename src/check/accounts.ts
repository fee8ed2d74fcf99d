/** Owns the check of who may ask an upstream: each account by itself, and how many pulls it has left. */
import type { CredentialConfig } from '../config/schema.ts';
import { MANIFEST_ACCEPT } from '../oci/media-types.ts';
import { parseRepository } from '../oci/reference.ts';
import { isHeadOfManifest, isHtml } from '../upstream/answers.ts';
import { Asker, type UpstreamObserver } from '../upstream/asker.ts';
import type { Challenge } from '../upstream/challenge.ts';
import { OfflineSwitch } from '../upstream/offline-switch.ts';
import { followRedirects } from '../upstream/redirects.ts';
import { discardBody } from '../upstream/transport.ts';
import { type AccountOutcome, factsOf, judgeAccount } from './account-findings.ts';
import { type Finding, voiceOf } from './check.ts';
import { stepSignal } from './deadline.ts';
import type { Place, ProbeImage } from './upstream.ts';

const say = voiceOf('upstreams');
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
      judgeAccount(place, place.image, await ask(place, { kind: 'anonymous' }, place.image, signal), false),
    );
  for (const credential of named) {
    const image = place.image ?? madeUpImage();
    if (!image) continue;
    const outcome = await ask(place, credential, image, signal);
    const isAbsent = credential.kind === 'dockerConfig' && outcome.name === 'anonymous';
    findings.push(isAbsent ? noLogin(place, credential.file) : judgeAccount(place, image, outcome, true));
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
): Promise<AccountOutcome> {
  const outcome: AccountOutcome = {
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
    const [account] = asker.accounts;
    outcome.name = account?.account ?? 'anonymous';
    if (account?.remaining !== undefined) outcome.limit = account;
    await asker.transport.close();
  }
  return outcome;
}

function makeAsker(
  { upstream, endpoint, proxy }: Place,
  credential: CredentialConfig,
  outcome: AccountOutcome,
): Asker {
  const ignore = (): void => undefined;
  const observer: UpstreamObserver = {
    answered: ignore,
    received: ignore,
    token: (result) => {
      if (result === 'fetched') outcome.hasToken = true;
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

/** Owns the check of one upstream at one of its addresses: the way there, its challenge, and what each account may. */
import type { Config, EndpointConfig, UpstreamConfig } from '../config/schema.ts';
import { parseRepository, type Repository } from '../oci/reference.ts';
import { baseUrl } from '../upstream/address.ts';
import { isHtml } from '../upstream/answers.ts';
import { type Challenge, parseChallenge } from '../upstream/challenge.ts';
import { UpstreamError } from '../upstream/errors.ts';
import { OfflineSwitch } from '../upstream/offline-switch.ts';
import { trustedRealm } from '../upstream/realm.ts';
import { type Answer, discardBody, Transport } from '../upstream/transport.ts';
import { checkAccounts } from './accounts.ts';
import { type Finding, voiceOf } from './check.ts';
import { type ClockReading, readClock } from './clock.ts';
import { codeOf, tryConnection } from './connection.ts';
import { stepSignal } from './deadline.ts';
import { explainConnection } from './explain-connection.ts';
import { proxyFor } from './proxy.ts';
import { caKey, connectionFindings, nameOfPlace } from './way-findings.ts';

const say = voiceOf('upstreams');

/** An image whose manifest is asked for. */
export interface ProbeImage {
  repository: Repository;
  /** tag or digest */
  reference: string;
  /** whether it is only there to ask for something: that it is not there is no fault */
  isMadeUp: boolean;
}

/** One address of an upstream, and how it is asked. */
export interface Place {
  upstream: UpstreamConfig;
  endpoint: EndpointConfig;
  /** the registry itself, or a nearer copy */
  isAuthority: boolean;
  proxy: Config['proxy'];
  image: ProbeImage | undefined;
  /** how long one step may take; the usual time where it is left out */
  stepMs?: number | undefined;
}

export interface UpstreamResult {
  findings: Finding[];
  clock: ClockReading | undefined;
}

/** The image that is asked for where nobody names one. */
export function usualImage(host: string): ProbeImage | undefined {
  const repository = parseRepository('library/alpine');
  return host === 'docker.io' && repository
    ? { repository, reference: 'latest', isMadeUp: false }
    : undefined;
}

/** Never rejects but with the signal's reason. */
export async function checkPlace(place: Place, signal: AbortSignal): Promise<UpstreamResult> {
  const { endpoint, upstream, proxy } = place;
  const { url } = endpoint;
  const facts = { upstream: upstream.host, url: url.href };
  const findings: Finding[] = [];
  const behind = proxyFor(url, proxy);
  const target = behind?.url ?? url;
  const tls = behind ? NO_TLS : endpoint.tls;
  const connection = await tryConnection(target, tls, signal);
  findings.push(...connectionFindings(place, connection, behind?.shown));
  if (connection.failed) return { findings, clock: undefined };
  if (endpoint.tls.isInsecure)
    findings.push(
      say.warning(
        'upstream.insecure',
        `${nameOfPlace(place)}: whoever answers there is believed, and given passwords`,
        'remove tls.insecure, and name the authority in tls.ca',
        facts,
      ),
    );
  const transport = new Transport({
    connections: 2,
    ...upstream.timeouts,
    proxy,
    own: url,
    tls: endpoint.tls,
    offline: new OfflineSwitch(false),
  });
  try {
    return await askPlace(place, transport, findings, signal);
  } finally {
    await transport.close();
  }
}

const NO_TLS = { ca: undefined, cert: undefined, key: undefined, isInsecure: false };

async function askPlace(
  place: Place,
  transport: Transport,
  findings: Finding[],
  signal: AbortSignal,
): Promise<UpstreamResult> {
  const { url } = place.endpoint;
  const beforeMs = Date.now();
  let answer: Answer;
  try {
    answer = await transport.send({
      method: 'GET',
      url: baseUrl(url),
      headers: {},
      lane: 'short',
      signal: stepSignal(signal, place.stepMs),
    });
  } catch (error) {
    signal.throwIfAborted();
    findings.push(silent(place, error));
    return { findings, clock: undefined };
  }
  const clock = readClock(url.host, answer.header('date'), beforeMs, Date.now());
  await discardBody(answer);
  const challenge = parseChallenge(answer.header('www-authenticate'));
  const base = judgeBase(place, answer, challenge);
  findings.push(base);
  if (base.status !== 'failed') findings.push(...(await checkAccounts(place, challenge, signal)));
  return { findings, clock };
}

/** distribution-spec, "Determining Support": 200, or a challenge. */
function judgeBase(place: Place, answer: Answer, challenge: Challenge | undefined): Finding {
  const { url, realms } = place.endpoint;
  const { status } = answer;
  const id = 'upstream.registry';
  const facts = { upstream: place.upstream.host, url: url.href, status };
  if (isHtml(answer) && status < 400)
    return say.failed(
      id,
      `${url.host} answers with a page for people, which no registry does`,
      'a login page or a proxy answers in its place: log in to the network, or correct `url`',
      facts,
    );
  if (status === 429)
    return say.warning(
      id,
      `${url.host} limits the rate of requests (429)`,
      'wait: it limits this address whoever asks',
      facts,
    );
  if (status >= 500)
    return say.failed(
      id,
      `${url.host} answers ${status}`,
      'it has trouble of its own: try again later; see its status page',
      facts,
    );
  if (status === 401 && challenge?.scheme === 'bearer') {
    const realm = trustedRealm(challenge.realm, url, realms);
    const named = URL.canParse(challenge.realm) ? new URL(challenge.realm).host : 'an address that is none';
    if (realm)
      return say.ok(id, `${url.host} is a registry and sends for tokens to ${named}`, {
        ...facts,
        realm: realm.host,
      });
    const message = `${url.host} sends for tokens to ${named}, which is not known to belong to it: nothing can be pulled`;
    return say.failed(
      'upstream.realm',
      message,
      `if it does, add "${named}" to realms of ${place.upstream.host}`,
      { ...facts, realm: named },
    );
  }
  if (status === 401 && challenge)
    return say.ok(id, `${url.host} is a registry that wants a user name and a password`, facts);
  if (status === 401)
    return say.failed(
      id,
      `${url.host} refuses access (401) and names no way to log in that hubcap knows`,
      'is it a registry? Correct `url`',
      facts,
    );
  if (status === 200) return say.ok(id, `${url.host} is a registry that asks for no token`, facts);
  return say.failed(
    id,
    `${url.host} answers ${status} to ${baseUrl(url).pathname}, which no registry does`,
    'correct `url`',
    facts,
  );
}

function silent(place: Place, error: unknown): Finding {
  const { host } = place.endpoint.url;
  const facts = { upstream: place.upstream.host, url: place.endpoint.url.href };
  if (error instanceof UpstreamError && error.reason === 'tls') {
    const { what, remedy } = explainConnection('tls', codeOf(error), host, caKey(place));
    return say.failed('upstream.tls', `${place.upstream.host}: ${what}`, remedy, {
      ...facts,
      code: codeOf(error),
    });
  }
  const isLate = error instanceof UpstreamError && error.reason === 'timeout';
  const what = isLate
    ? `${host} takes the question and does not answer`
    : `${host} breaks off (${codeOf(error)})`;
  return say.failed(
    'upstream.answer',
    `${place.upstream.host}: ${what}`,
    'a proxy or a firewall may stand between; or it has trouble of its own',
    { ...facts, code: codeOf(error) },
  );
}

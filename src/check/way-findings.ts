/** Owns what is said of the way to an upstream: whether it can be reached, and its certificate. Pure. */
import { type Finding, voiceOf } from './check.ts';
import type { Connection } from './connection.ts';
import { explainConnection } from './explain-connection.ts';
import type { Place } from './upstream.ts';

const say = voiceOf('upstreams');
const DAY_MS = 86_400_000;
const SOON_MS = 14 * DAY_MS;

/** @param proxy by way of which it was tried, without its login */
export function connectionFindings(
  place: Place,
  connection: Connection,
  proxy: string | undefined,
): Finding[] {
  const { url } = place.endpoint;
  const { addresses, failed, certificate } = connection;
  const facts = {
    upstream: place.upstream.host,
    url: url.href,
    addresses,
    ...(proxy !== undefined && { proxy }),
  };
  const by = proxy === undefined ? '' : ` by way of the proxy ${proxy}`;
  if (failed) {
    const host = proxy === undefined ? url.host : `the proxy ${proxy}`;
    const { what, remedy } = explainConnection(failed.step, failed.code, host, caKey(place));
    return [
      say.failed(`upstream.${failed.step}`, `${place.upstream.host}: ${what}`, remedy, {
        ...facts,
        code: failed.code,
      }),
    ];
  }
  const list =
    addresses.length > 3
      ? `${addresses.slice(0, 3).join(', ')} and ${addresses.length - 3} more`
      : addresses.join(', ');
  const findings = [
    say.ok('upstream.connection', `${nameOfPlace(place)} can be reached${by || ` at ${list}`}`, facts),
  ];
  if (certificate && proxy === undefined && Number.isFinite(certificate.validToMs))
    findings.push(certificateFinding(place, certificate));
  return findings;
}

function certificateFinding(
  place: Place,
  { validToMs, issuer }: NonNullable<Connection['certificate']>,
): Finding {
  const { host } = place.endpoint.url;
  const leftMs = validToMs - Date.now();
  const day = new Date(validToMs).toISOString().slice(0, 10);
  const facts = { upstream: place.upstream.host, validTo: new Date(validToMs).toISOString(), issuer };
  if (leftMs > SOON_MS)
    return say.ok('upstream.certificate', `the certificate of ${host} is valid until ${day}`, facts);
  const days = Math.max(0, Math.floor(leftMs / DAY_MS));
  const message = `the certificate of ${host} ends on ${day}, in ${days} ${days === 1 ? 'day' : 'days'}`;
  return say.warning(
    'upstream.certificate',
    message,
    'tell who runs it, unless it is renewed by itself',
    facts,
  );
}

/** @returns how people know it */
export function nameOfPlace({ upstream, endpoint, isAuthority }: Place): string {
  const { host } = endpoint.url;
  if (isAuthority && host === upstream.host) return host;
  return isAuthority ? `${upstream.host} at ${host}` : `${host}, a mirror of ${upstream.host},`;
}

/** @returns the key of the configuration that names authorities */
export function caKey({ upstream, isAuthority }: Place): string {
  return `upstreams."${upstream.host}".${isAuthority ? '' : 'mirrors.'}tls.ca`;
}

/** Owns how the hosts of an upstream are proven, and who hubcap is to the upstream's own. */
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';

/** PEM, and whether the upstream's own host is believed unproven. */
export interface TlsRules {
  /** trusted beside the system's authorities, for every host */
  ca: string | undefined;
  /** shown to the upstream's own host alone, with its key */
  cert: string | undefined;
  key: string | undefined;
  isInsecure: boolean;
}

/** What a connection is made with: options of `tls.connect`. */
export interface TlsConnection {
  secureContext?: SecureContext;
  rejectUnauthorized?: boolean;
}

/**
 * A registry names the CDN and, within limits, the token server: what is meant for the registry's own host must not
 * go to whom it names. So there are two ways to connect; they are the same object where nothing is meant for one host.
 * @returns what to connect with to the upstream's own origin, and to all others
 */
export function tlsConnections(rules: TlsRules): { own: TlsConnection; others: TlsConnection } {
  const { ca, cert, key, isInsecure } = rules;
  // Given authorities take the place of the system's unless those are given too. A context is made once: reading some
  // hundred and fifty certificates for each connection would be work.
  const authorities = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] };
  const others = ca === undefined ? {} : { secureContext: createSecureContext(authorities) };
  if (cert === undefined && !isInsecure) return { own: others, others };
  const identity = cert === undefined || key === undefined ? {} : { cert, key };
  const own = {
    secureContext: createSecureContext({ ...authorities, ...identity }),
    rejectUnauthorized: !isInsecure,
  };
  return { own, others };
}

/** The rules for somebody whom the upstream does not know. */
export function withoutIdentity(rules: TlsRules): TlsRules {
  return { ...rules, cert: undefined, key: undefined };
}

/** Owns what a failed connection means, and what to do about it. Pure. */
import type { Step } from './connection.ts';

export interface Explanation {
  what: string;
  remedy: string;
}

/** @param code of the resolver, the socket or TLS. @param ca the setting that names authorities of one's own */
export function explainConnection(step: Step, code: string, host: string, ca: string): Explanation {
  if (step === 'dns') return explainDns(code, host);
  if (step === 'tcp') return explainTcp(code, host);
  return explainTls(code, host, ca);
}

function explainDns(code: string, host: string): Explanation {
  if (code === 'ENOTFOUND')
    return {
      what: `the name ${host} is not known`,
      remedy: 'look for a typing mistake; see /etc/resolv.conf; behind a proxy set HTTPS_PROXY or `proxy`',
    };
  return {
    what: `the name ${host} cannot be resolved (${code})`,
    remedy: 'the name server does not answer: see /etc/resolv.conf and the network',
  };
}

function explainTcp(code: string, host: string): Explanation {
  switch (code) {
    case 'ECONNREFUSED':
      return {
        what: `${host} refuses connections`,
        remedy: 'nobody listens there: look at the address and the port',
      };
    case 'ETIMEDOUT':
      return {
        what: `${host} does not answer`,
        remedy: 'a firewall may drop it: allow it, or set HTTPS_PROXY or `proxy` where that is the way out',
      };
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return { what: `there is no way to ${host} (${code})`, remedy: 'look at the network and its routes' };
    default:
      return { what: `${host} cannot be reached (${code})`, remedy: 'look at the network' };
  }
}

function explainTls(code: string, host: string, ca: string): Explanation {
  switch (code) {
    case 'CERT_HAS_EXPIRED':
      return {
        what: `the certificate of ${host} has expired`,
        remedy: 'have it renewed; or the clock here is wrong',
      };
    case 'CERT_NOT_YET_VALID':
      return {
        what: `the certificate of ${host} is not valid yet`,
        remedy: 'the clock here is likely behind: set it',
      };
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return {
        what: `${host} has a certificate that it signed itself`,
        remedy: `if that is meant to be so, name the certificate in ${ca}`,
      };
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return {
        what: `${host} has a certificate of an authority that is not known here`,
        remedy: `name that authority's certificate in ${ca}; a proxy that looks into TLS has one of its own`,
      };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        what: `the certificate of ${host} is for other names`,
        remedy: 'use a name that it has, or ask who runs it; a proxy or a login page may answer in its place',
      };
    case 'ETIMEDOUT':
      return { what: `${host} says nothing when TLS begins`, remedy: 'does it speak TLS on this port?' };
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return {
        what: `${host} does not speak TLS there`,
        remedy: 'use http:// if that is meant to be so, or another port',
      };
    default:
      return { what: `TLS with ${host} fails (${code})`, remedy: 'a proxy or a firewall may stand between' };
  }
}

/** Owns which proxy leads to an address, as undici's EnvHttpProxyAgent decides it. Pure. */
import type { Config } from '../config/schema.ts';

export interface ProxyWay {
  url: URL;
  /** without the login that it may have */
  shown: string;
}

/** @returns undefined where it is asked directly */
export function proxyFor(target: URL, { http, https, no }: Config['proxy']): ProxyWay | undefined {
  const text = target.protocol === 'https:' ? https : http;
  if (!text || isExempt(target, no ?? '')) return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  return url ? { url, shown: url.origin } : undefined;
}

/** `*`, or a list of `host`, `.host`, `*.host`, each with a port or without. */
function isExempt({ hostname, port, protocol }: URL, no: string): boolean {
  if (no.trim() === '*') return true;
  const actual = port || (protocol === 'https:' ? '443' : '80');
  return no
    .toLowerCase()
    .split(/[,\s]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      const [, name = '', entryPort] = /^(.+?)(?::(\d+))?$/.exec(entry) ?? [];
      if (entryPort !== undefined && entryPort !== actual) return false;
      const bare = name.replace(/^\*?\./, '');
      return hostname === bare || hostname.endsWith(`.${bare}`);
    });
}

/** Owns what `tls` may say: which certificates an address is asked with. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { readText as readFile, Unreadable } from './files.ts';
import type { TlsConfig } from './schema.ts';
import { isMappingPayload, leaf, optional, section } from './sections.ts';
import * as values from './values.ts';

/** A PEM file that has been read and parsed. */
interface PemFile<T> {
  file: string;
  pem: string;
  parsed: T;
}

/** The schema of `tls`. Parsing reads the files; no error quotes what is in them. */
export function tlsSchema(expand: (path: string) => string) {
  const certificates = pemReader(expand, 'certificates', parseCertificates);
  return section({
    ca: optional(leaf(certificates)),
    cert: optional(leaf(certificates)),
    key: optional(leaf(pemReader(expand, 'the private key', createPrivateKey))),
    insecure: optional(leaf(values.readSwitch)),
  })
    .superRefine(checkPair, { when: isMappingPayload })
    .transform(({ ca, cert, key, insecure }): TlsConfig => {
      const files = Object.entries({ ca, cert, key }).flatMap(([name, from]) =>
        from === undefined ? [] : [[name, from.file] as const],
      );
      return {
        ca: ca?.pem,
        cert: cert?.pem,
        key: key?.pem,
        isInsecure: insecure ?? false,
        files: Object.fromEntries(files),
      };
    });
}

function pemReader<T>(
  expand: (path: string) => string,
  content: string,
  parse: (pem: string) => T,
): values.Reader<PemFile<T>> {
  return (value) => {
    const path = values.readPath(value);
    if (path instanceof values.Expected || path.includes('-----BEGIN'))
      return new values.Expected(`the path of a PEM file with ${content}`);
    const file = expand(path);
    const pem = readFile(file);
    if (pem instanceof Unreadable) return new values.Expected(`a file that can be read (${pem.reason})`);
    try {
      return { file, pem, parsed: parse(pem) };
    } catch (error) {
      // OpenSSL's own words name its functions; its code says what matters: a key that is encrypted.
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const isEncrypted = code === 'ERR_MISSING_PASSPHRASE' || /ENCRYPTED/.test(pem);
      const remedy = isEncrypted ? ', without a passphrase' : '';
      return new values.Expected(`a PEM file with ${content}${remedy}`);
    }
  };
}

/** Every certificate of a file, the first one first. @throws where there is none, or one is none */
function parseCertificates(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g);
  if (blocks === null) throw new Error('no certificate');
  return blocks.map((block) => new X509Certificate(block));
}

/** Holds that certificate and key are a pair. Runs beside failed fields too: a refused value counts as given. */
function checkPair(tls: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const { cert, key } = tls as { cert?: PemFile<X509Certificate[]>; key?: PemFile<KeyObject> };
  const report = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  if (cert === undefined && key !== undefined) report('cert', 'the certificate that the key belongs to');
  if (cert !== undefined && key === undefined) report('key', 'the private key of the certificate');
  if (cert?.parsed?.[0] === undefined || key?.parsed === undefined) return;
  if (!cert.parsed[0].checkPrivateKey(key.parsed))
    report('key', 'the private key of the first certificate in cert');
  else if (!isAccepted(cert.pem, key.pem))
    report('cert', 'a certificate that OpenSSL accepts: not of a short key or an old signature');
}

/** What can be read may still be refused for a connection. */
function isAccepted(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false; // OpenSSL's words name its functions, and quote nothing
  }
}

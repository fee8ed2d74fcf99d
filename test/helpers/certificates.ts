/** Owns certificates of a test's own, made by openssl: an authority, what it signed, and what nobody signed. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Without openssl the tests that need certificates are skipped. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

export interface Certified {
  certFile: string;
  keyFile: string;
  cert: string;
  key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/**
 * @param address of the server
 * @returns an authority; `server`, which it signed for the address; `elsewhere`, which it signed for another name;
 * `client`, which it signed for a client
 */
export function makeCertificates(directory: string, address = '127.0.0.1') {
  const ca = make(directory, 'ca', ['-subj', '/CN=test authority']);
  const signed = (name: string, subject: string, ...extensions: string[]): Certified =>
    make(directory, name, [
      ...['-subj', subject, '-CA', ca.certFile, '-CAkey', ca.keyFile, '-addext', 'basicConstraints=CA:FALSE'],
      ...extensions.flatMap((extension) => ['-addext', extension]),
    ]);
  return {
    ca,
    server: signed('server', '/CN=server', `subjectAltName=IP:${address},DNS:localhost`),
    elsewhere: signed('elsewhere', '/CN=elsewhere', 'subjectAltName=DNS:elsewhere.example'),
    client: signed('client', '/CN=hubcap', 'extendedKeyUsage=clientAuth'),
  };
}

/** @param options of `openssl req -x509` */
function make(directory: string, name: string, options: readonly string[]): Certified {
  const certFile = join(directory, `${name}.pem`);
  const keyFile = join(directory, `${name}.key`);
  const files = ['-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', ['req', '-x509', ...KEY, ...files, '-days', '2', ...options], { stdio: 'pipe' });
  return { certFile, keyFile, cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

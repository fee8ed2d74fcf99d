/** Owns certificates for 127.0.0.1 whose time a test chooses; openssl's `req` knows only those that begin now. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Certified } from '../helpers/certificates.ts';

/** @param ca who signs. @returns a certificate and its key, as a server takes them */
export function makeDated(
  directory: string,
  ca: Certified,
  name: string,
  { from, until }: { from: Date; until: Date },
): { cert: string; key: string } {
  const inside = (ending: string): string => join(directory, `${name}.${ending}`);
  const config = [
    '[ca]\ndefault_ca = one',
    `[one]\ndatabase = ${inside('index')}\nnew_certs_dir = ${directory}\nrand_serial = yes`,
    'default_md = sha256\npolicy = any\nunique_subject = no\nx509_extensions = names',
    '[any]\ncommonName = supplied',
    '[names]\nsubjectAltName = IP:127.0.0.1',
  ].join('\n');
  writeFileSync(inside('conf'), `${config}\n`);
  writeFileSync(inside('index'), '');
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    inside('key'),
  ];
  openssl('req', '-new', ...key, '-subj', `/CN=${name}`, '-out', inside('csr'));
  const signer = ['-config', inside('conf'), '-cert', ca.certFile, '-keyfile', ca.keyFile];
  const dates = ['-startdate', dateText(from), '-enddate', dateText(until)];
  openssl('ca', '-batch', '-notext', ...signer, ...dates, '-in', inside('csr'), '-out', inside('pem'));
  return { cert: readFileSync(inside('pem'), 'utf8'), key: readFileSync(inside('key'), 'utf8') };
}

/** `20260131235959Z` */
function dateText(date: Date): string {
  return `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

/** Owns the key that signs tokens, and the certificate by which a registry knows it. */

import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { makeDirectory } from './needs.ts';
import { runProgram } from './program.ts';

/** What a registry is asked to allow: the `access` claim of the distribution project's token specification. */
export interface Access {
  type: string;
  name: string;
  actions: string[];
}

export interface Claims {
  issuer: string;
  audience: string;
  subject: string;
  access: readonly Access[];
  lifetimeSeconds: number;
}

export interface SigningKey {
  /** PEM file for a registry's `rootcertbundle`. */
  certificateFile: string;
  /** A JSON Web Token, signed with ES256, that carries its certificate in `x5c`. */
  sign(claims: Claims): string;
}

/** Makes a key on P-256 and a self-signed certificate that lasts a day. */
export async function makeSigningKey(t: Test): Promise<SigningKey> {
  const directory = await makeDirectory(t, 'key');
  const keyFile = join(directory, 'key.pem');
  const certificateFile = join(directory, 'certificate.pem');
  const made = await runProgram(t, 'openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-subj', '/CN=hubcap test tokens', '-keyout', keyFile, '-out', certificateFile],
  ]);
  if (made.code !== 0) throw new Error('openssl made no certificate', { cause: made.stderr });
  const key = createPrivateKey(await readFile(keyFile));
  const certificate = new X509Certificate(await readFile(certificateFile)).raw.toString('base64');
  const header = encode({ typ: 'JWT', alg: 'ES256', x5c: [certificate] });
  return {
    certificateFile,
    sign(claims) {
      const signed = `${header}.${encode(toJwt(claims))}`;
      const signature = sign('sha256', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
  };
}

function toJwt({ issuer, audience, subject, access, lifetimeSeconds }: Claims): object {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: issuer,
    aud: audience,
    sub: subject,
    access,
    iat: now,
    nbf: now - 10,
    exp: now + lifetimeSeconds,
    jti: randomUUID(),
  };
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url');
}

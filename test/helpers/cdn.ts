/** Owns a CDN for tests: another port than the registry's, signed addresses that end, no credentials ever. */
import type { TlsOptions } from 'node:tls';
import type { Test } from 'tap';
import { type PersonaServer, startPersonaServer } from './persona-server.ts';
import { ociError, type Registry, ranged } from './registry.ts';

export interface Cdn extends PersonaServer {
  /** @returns an address that holds until the next `expireAll` */
  sign(path: string): string;
  expireAll(): void;
}

/** It fails the test when it is shown an `Authorization`. */
export async function startCdn(t: Test, registry: () => Registry, tls?: TlsOptions): Promise<Cdn> {
  let signed = 0;
  let validFrom = 1;
  const server = await startPersonaServer(
    t,
    (asked) => {
      const { authorization } = asked.headers;
      if (authorization !== undefined) {
        t.fail('the CDN was shown an Authorization header', { authorization });
        return ociError(400, 'UNSUPPORTED'); // as S3-like stores do
      }
      if (Number(asked.query.get('sig')) < validFrom) return { status: 403 };
      const digest = asked.path.slice(1);
      const body = registry().bytesOf(digest);
      return body ? ranged(asked, body, digest) : { status: 404 };
    },
    tls,
  );
  return Object.assign(Object.create(server) as PersonaServer, {
    sign: (path: string) => {
      signed += 1;
      return `${server.url}${path}?sig=${signed}`;
    },
    expireAll: () => {
      validFrom = signed + 1;
    },
  });
}

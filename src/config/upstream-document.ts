/** Owns what `upstreams` may say: every key of an upstream, and the reader of its value. */
import { z } from 'zod';
import { credentialSchema } from './credential-document.ts';
import type { Surroundings } from './paths.ts';
import { readRepositoryPattern, readTagPattern } from './patterns.ts';
import type { TagRule } from './schema.ts';
import { isMappingPayload, leaf, optional, section } from './sections.ts';
import { tlsSchema } from './tls-document.ts';
import * as values from './values.ts';

export type UpstreamDocument = z.output<ReturnType<typeof upstreamSchema>>;
export type MirrorDocument = NonNullable<UpstreamDocument['mirrors']>[number];

/** The schema of the mapping from host to settings. Parsing reads password and PEM files. */
export function upstreamsSchema(expand: (path: string) => string, around: Surroundings) {
  // `ghcr.io:` without a value says as much as `ghcr.io: {}`.
  const named = z.preprocess((value) => value ?? {}, upstreamSchema(expand, around));
  return z
    .record(z.string(), named, { error: 'a mapping from host to settings' })
    .superRefine(checkHosts, { when: isMappingPayload });
}

function upstreamSchema(expand: (path: string) => string, around: Surroundings) {
  const { url, ...endpoint } = endpointShape(expand, around);
  // A mirror that needs nothing but its address can be written as one.
  const mirror = z.preprocess(
    (value) => (typeof value === 'object' ? value : { url: value }),
    section({ url: leaf(values.readUpstreamUrl), ...endpoint }),
  );
  return section({
    url,
    ...endpoint,
    mirrors: optional(z.array(mirror)),
    aliases: optional(z.array(leaf(values.readRegistryHost))),
    virtualHosts: optional(z.array(leaf(values.readVirtualHost))),
    tagTtl: optional(leaf(values.readTtl)),
    freshness: optional(freshnessSchema()),
    staleWhileRevalidate: optional(leaf(values.readTtl)),
    refreshAhead: optional(leaf(values.readSwitch)),
    keepDeleted: optional(leaf(values.readSwitch)),
    notFoundTtl: optional(leaf(values.readTtl)),
    private: optional(z.array(leaf(readRepositoryPattern))),
    publicTtl: optional(leaf(values.readTtl)),
    grantTtl: optional(leaf(values.readTtl)),
    reserve: optional(leaf(values.readReserve)),
    connections: optional(leaf(values.readCount(1, 1024))),
    timeouts: optional(
      section({
        connect: optional(leaf(values.readTimeout)),
        headers: optional(leaf(values.readTimeout)),
        idle: optional(leaf(values.readTimeout)),
        stall: optional(leaf(values.readPatience)),
        confirm: optional(leaf(values.readTimeout)),
        probe: optional(leaf(values.readProbe)),
      }),
    ),
    retries: optional(leaf(values.readCount(0, 20))),
  });
}

/** What belongs to one address, be it the registry's own or a mirror's. */
function endpointShape(expand: (path: string) => string, around: Surroundings) {
  return {
    url: optional(leaf(values.readUpstreamUrl)),
    realms: optional(z.array(leaf(values.readRealm))),
    credentials: optional(z.array(credentialSchema(expand, around))),
    tls: optional(tlsSchema(expand)),
  };
}

/** Patterns with their times to live, in the order in which they were written. */
function freshnessSchema() {
  return z
    .record(z.string(), leaf(values.readTtl), {
      error: 'a mapping from pattern to duration, such as "library/*: 10m"',
    })
    .superRefine(checkPatterns, { when: isMappingPayload })
    .transform((rules) => Object.entries(rules).map(([pattern, ttlMs]): TagRule => ({ pattern, ttlMs })));
}

function checkPatterns(rules: object, context: z.RefinementCtx): void {
  for (const key of Object.keys(rules)) {
    const pattern = readTagPattern(key);
    if (pattern instanceof values.Expected)
      context.addIssue({ code: 'custom', path: [key], message: pattern.text, params: { found: key } });
  }
}

/** Reports keys that are no registry host, and hosts that are there twice but for their case. */
function checkHosts(upstreams: object, context: z.RefinementCtx): void {
  const seen = new Set<string>();
  for (const key of Object.keys(upstreams)) {
    const host = values.readRegistryHost(key);
    const report = (message: string) =>
      context.addIssue({ code: 'custom', path: [key], message, params: { found: key } });
    if (host instanceof values.Expected) report(host.text);
    else if (seen.has(host)) report(`${host} once; case does not matter`);
    else seen.add(host);
  }
}

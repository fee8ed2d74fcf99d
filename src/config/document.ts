/** Owns what one source (the file, the environment, the flags) may say: every key, and the reader of its value. */
import { z } from 'zod';
import { readText as readFile, Unreadable } from './files.ts';
import { defaultDockerConfig, expandPath, type Surroundings } from './paths.ts';
import { type CredentialConfig, logFormats, logLevels } from './schema.ts';
import * as values from './values.ts';

/** What a source said, units resolved; what it left out is `undefined`. */
export type Document = z.output<ReturnType<typeof documentSchema>>;
export type UpstreamDocument = NonNullable<NonNullable<Document['upstreams']>[string]>;

/**
 * The schema of one source. `base` is the directory that its relative paths count from. Parsing reads password files.
 * Keys are strict, `null` counts as left out, and the message of every issue is what was expected; for unknown keys
 * it is the list of the known ones. An issue about a key itself has it in `params.found`.
 */
export function documentSchema(base: string, around: Surroundings) {
  const expand = (path: string) => expandPath(path, base, around);
  const path = leaf((value) => mapRead(values.readPath(value), expand));
  return section({
    listen: optional(leaf(values.readAddress)),
    admin: optional(leaf(values.readAddress)),
    control: optional(leaf(values.readSocketPath(expand))),
    storage: optional(
      section({
        directory: optional(path),
        maxSize: optional(leaf(values.readBudget)),
        minFree: optional(leaf(values.readBytes(0))),
        scrub: optional(leaf(values.readBytes(0))),
      }),
    ),
    upstreams: optional(upstreamsSchema(expand, around)),
    offline: optional(leaf(values.readSwitch)),
    http: optional(
      section({
        headerTimeout: optional(leaf(values.readTimeout)),
        idleTimeout: optional(leaf(values.readTimeout)),
        keepAlive: optional(leaf(values.readTimeout)),
        maxConnections: optional(leaf(values.readCount(1, 1_000_000))),
        drain: optional(leaf(values.readPatience)),
      }),
    ),
    log: optional(
      section({
        level: optional(leaf(values.readChoice(logLevels))),
        format: optional(leaf(values.readChoice([...logFormats, 'auto']))),
      }),
    ),
    proxy: optional(
      section({
        http: optional(leaf(values.readProxyUrl)),
        https: optional(leaf(values.readProxyUrl)),
        no: optional(leaf(values.readNoProxy)),
      }),
    ),
  });
}

function upstreamsSchema(expand: (path: string) => string, around: Surroundings) {
  const upstream = section({
    url: optional(leaf(values.readUpstreamUrl)),
    realms: optional(z.array(leaf(values.readRealm))),
    aliases: optional(z.array(leaf(values.readRegistryHost))),
    virtualHosts: optional(z.array(leaf(values.readVirtualHost))),
    credentials: optional(z.array(credentialSchema(expand, around))),
    tagTtl: optional(leaf(values.readTtl)),
    notFoundTtl: optional(leaf(values.readTtl)),
    connections: optional(leaf(values.readCount(1, 1024))),
    timeouts: optional(
      section({
        connect: optional(leaf(values.readTimeout)),
        headers: optional(leaf(values.readTimeout)),
        idle: optional(leaf(values.readTimeout)),
        stall: optional(leaf(values.readPatience)),
        confirm: optional(leaf(values.readTimeout)),
      }),
    ),
    retries: optional(leaf(values.readCount(0, 20))),
  });
  // `ghcr.io:` without a value says as much as `ghcr.io: {}`.
  const named = z.preprocess((value) => value ?? {}, upstream);
  return z.record(z.string(), named).superRefine(checkHosts, { when: isMappingPayload });
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

function credentialSchema(expand: (path: string) => string, around: Surroundings) {
  const passwordFile: values.Reader<string> = (value) => {
    const path = values.readPath(value);
    return path instanceof values.Expected ? path : readPassword(expand(path));
  };
  const dockerConfig: values.Reader<string> = (value) => {
    if (value === true) return defaultDockerConfig(around);
    const file = mapRead(values.readPath(value), expand);
    return file instanceof values.Expected ? new values.Expected('true, or the path of a config.json') : file;
  };
  return section({
    username: optional(leaf(values.readUsername)),
    password: optional(leaf(values.readText)),
    passwordFile: optional(leaf(passwordFile)),
    dockerConfig: optional(leaf(dockerConfig)),
  })
    .superRefine(checkCredential, { when: isMappingPayload })
    .transform(({ username, password, passwordFile, dockerConfig }): CredentialConfig => {
      if (dockerConfig !== undefined) return { kind: 'dockerConfig', file: dockerConfig };
      return { kind: 'password', username: username ?? '', password: password ?? passwordFile ?? '' };
    });
}

function readPassword(path: string): string | values.Expected {
  const text = readFile(path);
  if (text instanceof Unreadable) return new values.Expected(`a file that can be read (${text.reason})`);
  return (
    text.replace(/\r?\n$/, '') || new values.Expected('a file that holds the password (this one is empty)')
  );
}

/** Holds that an entry is one login. Runs beside failed fields too: a refused value counts as given. */
function checkCredential(entry: Readonly<Record<string, unknown>>, context: z.RefinementCtx): void {
  const has = (key: string) => entry[key] !== undefined;
  const report = (key: string, message: string) => context.addIssue({ code: 'custom', path: [key], message });
  if (has('dockerConfig')) {
    const other = ['username', 'password', 'passwordFile'].find(has);
    if (other !== undefined) report(other, 'dockerConfig alone, or username and password in another entry');
    return;
  }
  if (has('password') && has('passwordFile')) report('passwordFile', 'either a password or a password file');
  const hasPassword = has('password') || has('passwordFile');
  if (!has('username') && !hasPassword) report('username', 'a user name with its password, or dockerConfig');
  else if (!has('username')) report('username', 'the user name that the password belongs to');
  else if (!hasPassword) report('password', 'the password of this user, or the file that holds it');
}

/** A mapping with these keys and no others. */
function section<S extends z.core.$ZodLooseShape>(shape: S) {
  const known = Object.keys(shape).join(', ');
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? known : `a mapping with ${known}`),
  });
}

function optional<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/** A value whose reader says itself what it expects. */
function leaf<T>(read: values.Reader<T>) {
  return z.unknown().transform((value, context): T => {
    const result = read(value);
    if (!(result instanceof values.Expected)) return result;
    context.addIssue({ code: 'custom', message: result.text });
    return z.NEVER;
  });
}

function mapRead<T, U>(result: T | values.Expected, change: (value: T) => U): U | values.Expected {
  return result instanceof values.Expected ? result : change(result);
}

function isMappingPayload({ value }: { value: unknown }): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

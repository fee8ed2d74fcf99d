/** Owns reading a registry's login out of Docker's `config.json` and the credential helpers that it names. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';

/** A login. With an identity token, that is what is exchanged (OAuth2 `refresh_token`), and the password is empty. */
export interface Login {
  username: string;
  password: string;
  identityToken?: string;
}

/** How a helper ended: what it answered, or why it could not, in words that follow its name. Never holds a secret. */
export type HelperRun = { exitCode: number; stdout: string } | { problem: string };

export interface DockerConfigOptions {
  signal?: AbortSignal;
  /** Runs `docker-credential-<name> get` for a server; the real one where left out. */
  runHelper?: (name: string, server: string, signal?: AbortSignal) => Promise<HelperRun>;
}

/** Docker's configuration, or a helper that it names, cannot be used. Says what to do; never holds a secret. */
export class DockerConfigError extends Error {
  readonly file: string;

  constructor(file: string, message: string) {
    super(`${file}: ${message}`);
    this.name = 'DockerConfigError';
    this.file = file;
  }
}

const entrySchema = z.looseObject({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});
const configSchema = z.looseObject({
  auths: z.record(z.string(), entrySchema).nullish(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
  credsStore: z.string().nullish(),
});
const secretSchema = z.looseObject({ Username: z.string(), Secret: z.string() });

const DEADLINE_MS = 10_000;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** Helpers are found on the PATH by name: no path, and nothing that could be taken for an option. */
const helperName = /^[a-z0-9][a-z0-9._-]*$/i;
/** What helpers answer for a server without a login; the only sign that their protocol has for it. */
const NOT_FOUND = 'credentials not found';
/** The user name under which helpers keep identity tokens. */
const TOKEN_USERNAME = '<token>';

/**
 * The login for a registry that goes by any of `serverKeys` (for Docker Hub `https://index.docker.io/v1/` first), in
 * the order of the Docker command line: the server's helper, else the common store; then what stands in the file
 * itself. `undefined` where there is no file or no login. Throws `DockerConfigError`. Caches nothing.
 */
export async function loginFromDockerConfig(
  file: string,
  serverKeys: readonly string[],
  { signal, runHelper = runDockerHelper }: DockerConfigOptions = {},
): Promise<Login | undefined> {
  const config = await readDockerConfig(file, signal);
  if (config === undefined) return undefined;
  const helper = lookUp(config.credHelpers, serverKeys)?.value ?? config.credsStore;
  if (helper) {
    for (const server of new Set(serverKeys)) {
      const login = loginFromRun(file, helper, await runHelper(helper, server, signal));
      if (login !== undefined) return login;
    }
  }
  const entry = lookUp(config.auths, serverKeys);
  return entry && loginFromEntry(file, entry.key, entry.value);
}

async function readDockerConfig(file: string, signal?: AbortSignal) {
  let text: string;
  try {
    text = await readFile(file, { encoding: 'utf8', ...(signal && { signal }) });
  } catch (error) {
    signal?.throwIfAborted();
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new DockerConfigError(file, `cannot be read (${code}): let the user that runs hubcap read it`);
  }
  const parsed = configSchema.safeParse(parseJson(file, text));
  if (parsed.success) return parsed.data;
  const place = parsed.error.issues[0]?.path.join('.') || 'it';
  throw new DockerConfigError(
    file,
    `${place} is not what Docker writes there: log in again with "docker login"`,
  );
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The engine's message quotes the text, which holds passwords: only the place is taken from it, and no cause kept.
    const place = /line \d+ column \d+/.exec(String(error))?.[0] ?? 'its end';
    throw new DockerConfigError(
      file,
      `is not valid JSON at ${place}: correct it, or remove it and "docker login" again`,
    );
  }
}

/** The first entry under one of the keys: as it is written, else as the host that it means. */
function lookUp<T>(entries: Readonly<Record<string, T>> | null | undefined, serverKeys: readonly string[]) {
  const written = Object.entries(entries ?? {}).map(([key, value]) => ({ key, value }));
  for (const server of serverKeys) {
    const exact = written.find(({ key }) => key === server);
    const match =
      exact ?? written.find(({ key }) => hostOf(key) !== undefined && hostOf(key) === hostOf(server));
    if (match !== undefined) return match;
  }
  return undefined;
}

/**
 * The host that a key means, if it means all of it: `https://HOST/v1/` does. `HOST/namespace` is podman's login for a
 * part, and `https://index.docker.io/v1/access-token` is where Docker keeps something else.
 */
function hostOf(key: string): string | undefined {
  return /^(?:https?:\/\/)?([^/]+)(?:\/|\/v[12]\/?)?$/i.exec(key)?.[1]?.toLowerCase();
}

function loginFromEntry(file: string, key: string, entry: z.output<typeof entrySchema>): Login | undefined {
  let { username = '', password = '' } = entry;
  if (entry.auth) {
    const decoded = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    if (colon < 1)
      throw new DockerConfigError(file, `auths.${key}.auth is not base64 of USER:PASSWORD: log in again`);
    username = decoded.slice(0, colon);
    // Docker itself strips these, which old versions padded with.
    password = decoded.slice(colon + 1).replace(/\0+$/, '');
  }
  if (entry.identitytoken) return { username, password: '', identityToken: entry.identitytoken };
  return username !== '' && password !== '' ? { username, password } : undefined;
}

function loginFromRun(file: string, helper: string, run: HelperRun): Login | undefined {
  const name = `docker-credential-${helper}`;
  if ('problem' in run) throw new DockerConfigError(file, `its credential helper ${name} ${run.problem}`);
  if (run.exitCode !== 0) {
    if (run.stdout.includes(NOT_FOUND)) return undefined;
    const advice = `try "echo SERVER | ${name} get" as the user that runs hubcap`;
    throw new DockerConfigError(
      file,
      `its credential helper ${name} failed with exit code ${run.exitCode}: ${advice}`,
    );
  }
  const secret = secretSchema.safeParse(parseAnswer(run.stdout));
  if (!secret.success)
    throw new DockerConfigError(file, `its credential helper ${name} did not answer with a login`);
  const { Username: username, Secret: password } = secret.data;
  if (password === '') return undefined;
  return username === TOKEN_USERNAME
    ? { username: '', password: '', identityToken: password }
    : { username, password };
}

/** `undefined` for what is no JSON; the reason would quote the secret. */
function parseAnswer(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Runs `docker-credential-<name> get` with the server on its standard input (the protocol of
 * docker/docker-credential-helpers). Killed after ten seconds or 64 KiB. Throws only when `signal` aborts.
 */
export function runDockerHelper(
  name: string,
  server: string,
  signal?: AbortSignal,
  deadlineMs = DEADLINE_MS,
): Promise<HelperRun> {
  if (!helperName.test(name))
    return Promise.resolve({ problem: 'has a name with characters that names cannot have' });
  const limits = { timeout: deadlineMs, maxBuffer: MAX_OUTPUT_BYTES, killSignal: 'SIGKILL' } as const;
  return new Promise((resolve, reject) => {
    const options = { ...limits, encoding: 'utf8' as const, ...(signal && { signal }) };
    const child = execFile(`docker-credential-${name}`, ['get'], options, (error, stdout) => {
      if (signal?.aborted) reject(signal.reason);
      else if (error === null) resolve({ exitCode: 0, stdout });
      else if (typeof error.code === 'number') resolve({ exitCode: error.code, stdout });
      else resolve({ problem: failure(error, deadlineMs) });
    });
    // A helper may end without reading its input; how it ended is what counts.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(server);
  });
}

/** The error itself is not passed on: it quotes what the helper wrote. */
function failure(error: { code?: unknown; killed?: boolean; signal?: unknown }, deadlineMs: number): string {
  switch (error.code) {
    case 'ENOENT':
      return 'is not on the PATH: install it, or remove it from the file and "docker login" again';
    case 'EACCES':
      return 'may not be executed by the user that runs hubcap';
    case 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER':
      return `wrote more than ${MAX_OUTPUT_BYTES / 1024} KiB`;
  }
  if (error.killed) return `did not answer within ${deadlineMs / 1000} s: it may be waiting for a user`;
  return `was ended by ${String(error.signal ?? error.code)}`;
}

/** Owns which environment variables and flags there are, and the keys of the configuration that they stand for. */
import { nearest } from './nearest.ts';
import { DEFAULT_UPSTREAM } from './presets.ts';
import type { Problem } from './problems.ts';

/** What the command line says, as yargs gives it. */
export interface Flags {
  config?: string | undefined;
  data?: string | undefined;
  listen?: string | undefined;
  admin?: string | undefined;
  control?: string | undefined;
  /** URL of the default upstream. */
  upstream?: string | undefined;
  maxSize?: string | undefined;
  offline?: boolean | undefined;
  logLevel?: string | undefined;
  logFormat?: string | undefined;
}

export type KeyPath = readonly (string | number)[];

/** One place where configuration is written, in the shape of the file whatever it came from. */
export interface Source {
  tree: unknown;
  /** What relative paths in it count from. */
  base: string;
  /** How its user calls a key: `storage.maxSize`, `HUBCAP_MAX_SIZE`, `--max-size`. */
  nameOf(key: KeyPath): string;
}

interface Setting {
  key: KeyPath;
  /** The first that is not empty counts. */
  variables?: readonly string[];
  flag?: Exclude<keyof Flags, 'config'>;
}

const upstream = ['upstreams', DEFAULT_UPSTREAM] as const;

const settings: readonly Setting[] = [
  { key: ['listen'], variables: ['HUBCAP_LISTEN'], flag: 'listen' },
  { key: ['admin'], variables: ['HUBCAP_ADMIN'], flag: 'admin' },
  { key: ['adminNames'], variables: ['HUBCAP_ADMIN_NAMES'] },
  { key: ['control'], variables: ['HUBCAP_CONTROL'], flag: 'control' },
  { key: ['storage', 'directory'], variables: ['HUBCAP_DATA'], flag: 'data' },
  { key: ['storage', 'maxSize'], variables: ['HUBCAP_MAX_SIZE'], flag: 'maxSize' },
  { key: ['storage', 'minFree'], variables: ['HUBCAP_MIN_FREE'] },
  { key: ['storage', 'scrub'], variables: ['HUBCAP_SCRUB'] },
  { key: [...upstream, 'url'], variables: ['HUBCAP_UPSTREAM'], flag: 'upstream' },
  { key: [...upstream, 'credentials', 0, 'username'], variables: ['HUBCAP_USERNAME'] },
  { key: [...upstream, 'credentials', 0, 'password'], variables: ['HUBCAP_PASSWORD'] },
  { key: [...upstream, 'credentials', 0, 'passwordFile'], variables: ['HUBCAP_PASSWORD_FILE'] },
  { key: [...upstream, 'tagTtl'], variables: ['HUBCAP_TAG_TTL'] },
  { key: ['offline'], variables: ['HUBCAP_OFFLINE'], flag: 'offline' },
  { key: ['log', 'level'], variables: ['HUBCAP_LOG_LEVEL'], flag: 'logLevel' },
  { key: ['log', 'format'], variables: ['HUBCAP_LOG_FORMAT'], flag: 'logFormat' },
  // Lower case first, as curl and undici have it.
  { key: ['proxy', 'http'], variables: ['http_proxy', 'HTTP_PROXY'] },
  { key: ['proxy', 'https'], variables: ['https_proxy', 'HTTPS_PROXY'] },
  { key: ['proxy', 'no'], variables: ['no_proxy', 'NO_PROXY'] },
];

const PREFIX = 'HUBCAP_';
const knownVariables = ['HUBCAP_CONFIG', ...settings.flatMap(({ variables = [] }) => variables)].filter(
  (name) => name.startsWith(PREFIX),
);

/**
 * Kubernetes gives every container variables for every service of its namespace. For services named `hubcap` or
 * `hubcap-admin` they begin with our prefix (HUBCAP_SERVICE_HOST, HUBCAP_PORT_5000_TCP_ADDR) and are nobody's mistake.
 */
const kubernetesVariable =
  /^HUBCAP_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;

/** What the environment says. Empty variables count as unset. */
export function environmentSource(env: NodeJS.ProcessEnv, cwd: string): Source {
  const nameIn = ({ variables = [] }: Setting) => variables.find((name) => env[name]) ?? variables[0];
  return buildSource(cwd, nameIn, (setting) => env[nameIn(setting) ?? ''] || undefined);
}

/** What the command line says. */
export function flagsSource(flags: Flags, cwd: string): Source {
  const nameIn = ({ flag }: Setting) => (flag === undefined ? undefined : flagName(flag));
  return buildSource(cwd, nameIn, ({ flag }) => (flag === undefined ? undefined : flags[flag]));
}

/** What the file says, as parsed from its YAML. */
export function fileSource(tree: unknown, base: string): Source {
  return { tree, base, nameOf: dotted };
}

/** Variables with our prefix that mean nothing. Their values are not shown: they may be misspelt passwords. */
export function findUnknownVariables(env: NodeJS.ProcessEnv): Problem[] {
  return Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] && !knownVariables.includes(name))
    .filter((name) => !kubernetesVariable.test(name))
    .map((name) => ({
      path: name,
      found: undefined,
      expected: unknownName('variable', name, knownVariables, PREFIX),
    }));
}

/** What to say of a name that is none of the known. A prefix that all have makes them no nearer. */
export function unknownName(noun: string, name: string, known: readonly string[], prefix = ''): string {
  const bare = known.map((candidate) => candidate.slice(prefix.length));
  const meant = nearest(name.slice(prefix.length), bare);
  return meant === undefined
    ? `a known ${noun}: one of ${known.join(', ')}`
    : `a known ${noun}; did you mean ${prefix}${meant}?`;
}

/** What a tree holds at this key: its own values only. */
export function valueAt(tree: unknown, key: readonly PropertyKey[]): unknown {
  let value = tree;
  for (const part of key) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

function buildSource(
  base: string,
  nameIn: (setting: Setting) => string | undefined,
  read: (setting: Setting) => unknown,
): Source {
  const tree = {};
  for (const setting of settings) {
    const value = read(setting);
    if (value !== undefined) setAt(tree, setting.key, value);
  }
  const settingOf = (key: KeyPath) => settings.find((setting) => dotted(setting.key) === dotted(key));
  return {
    tree,
    base,
    nameOf(key) {
      const setting = settingOf(key);
      return (setting && nameIn(setting)) ?? dotted(key);
    },
  };
}

/** Sets a value in a tree, with the mappings and lists that lead to it. */
function setAt(tree: object, [part, ...rest]: KeyPath, value: unknown): void {
  if (part === undefined) return;
  if (rest.length > 0 && !Object.hasOwn(tree, part))
    Reflect.set(tree, part, typeof rest[0] === 'number' ? [] : {});
  const child: unknown = Reflect.get(tree, part);
  if (rest.length === 0) Reflect.set(tree, part, value);
  else if (typeof child === 'object' && child !== null) setAt(child, rest, value);
}

function dotted(key: KeyPath): string {
  return key.reduce<string>((path, part) => {
    if (typeof part === 'number') return `${path}[${part}]`;
    return path === '' ? part : `${path}.${part}`;
  }, '');
}

function flagName(flag: string): string {
  return `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Owns the inspection of registries.conf and its drop-ins (podman, skopeo, Buildah, CRI-O). Pure. */
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import type { ClientFile, Inspection, MirrorUse } from './mirror-use.ts';
import { isTable, readToml, type Table, tablesIn, valueIn } from './toml.ts';

const say = voiceOf('clients');
/** containers/image reads all of the files or none. */
const FAILS = 'podman and its like pull nothing';
const USES: ReadonlySet<unknown> = new Set(['', 'all', 'digest-only', 'tag-only']);

/**
 * @param isDropIn whether it is in registries.conf.d: version 1 is refused there
 * @returns what containers/image refuses in the file, what it makes nothing of, and the mirrors
 */
export function inspectRegistriesConf(file: ClientFile, isDropIn: boolean): Inspection {
  const { path } = file;
  const read = readToml(file, 'podman.toml', FAILS);
  if ('finding' in read) return { findings: [read.finding], mirrors: [] };
  const table = withPlainKeys(read.table);
  const findings = versions(path, table, isDropIn);
  const fail = (message: string, remedy: string, id = 'podman.registry'): void => {
    findings.push(say.failed(id, `${path}: ${message}`, remedy, { file: path }));
  };
  searching(table, fail);
  const { registry } = table;
  if (registry === undefined) return { findings, mirrors: [] };
  if (!Array.isArray(registry) || registry.some((one) => !isTable(one))) {
    const isLost = isTable(registry) && registry.mirror !== undefined && registry.location === undefined;
    const what = isLost
      ? '[[registry.mirror]] stands without a [[registry]] above it'
      : 'registry is no list of tables';
    fail(`${what}, ${FAILS}`, 'write [[registry]], with two brackets, and its mirrors below it');
    return { findings, mirrors: [] };
  }
  const registries = tablesIn(registry).map(withPlainKeys);
  const mirrors = registries.flatMap((one) => inspectRegistry(path, one, fail));
  contradictions(registries, fail);
  return { findings, mirrors };
}

type Fail = (message: string, remedy: string, id?: string) => void;

function inspectRegistry(path: string, registry: Table, fail: Fail): MirrorUse[] {
  const { location = '', prefix = '' } = registry;
  const name = prefix || location;
  for (const [key, value] of Object.entries({ location, prefix }))
    if (!isLocation(value))
      fail(
        `${key} = ${quoted(value)} ${whyNot(value)}, ${FAILS}`,
        'write a host without scheme',
        'podman.location',
      );
  for (const key of ['insecure', 'blocked', 'mirror-by-digest-only'])
    if (registry[key] !== undefined && typeof registry[key] !== 'boolean')
      fail(
        `${key} = ${quoted(registry[key])}, ${FAILS}`,
        'write true or false, without quotes',
        'podman.switch',
      );
  if (location === '' && !(typeof prefix === 'string' && prefix.startsWith('*.')))
    fail(`a [[registry]] has no location, ${FAILS}`, 'write location = "docker.io"', 'podman.location');
  if (registry['pull-from-mirror'] !== undefined)
    fail(
      `pull-from-mirror stands at ${quoted(name)} itself, ${FAILS}`,
      'put it below its [[registry.mirror]]',
    );
  if (registry.blocked === true && String(name).replace(/\/$/, '') === 'docker.io')
    fail(
      'docker.io is blocked: nothing is pulled of it, also not from mirrors',
      'remove blocked = true',
      'podman.blocked',
    );
  if (registry.mirrors !== undefined)
    fail(
      `podman makes nothing of "mirrors" at ${quoted(name)}`,
      'write a [[registry.mirror]] with a location',
      'podman.key',
    );
  const { mirror } = registry;
  if (mirror === undefined) return [];
  if (!Array.isArray(mirror) || mirror.some((one) => !isTable(one))) {
    fail(
      `mirror of ${quoted(name)} is no list of tables, ${FAILS}`,
      'write [[registry.mirror]] with a location',
    );
    return [];
  }
  const isDigestOnly = registry['mirror-by-digest-only'] === true;
  return tablesIn(mirror).flatMap((one) =>
    inspectMirror(path, withPlainKeys(one), String(name), isDigestOnly, fail),
  );
}

function inspectMirror(
  path: string,
  mirror: Table,
  registry: string,
  isDigestOnly: boolean,
  fail: Fail,
): MirrorUse[] {
  const { location, insecure = false, 'pull-from-mirror': use } = mirror;
  if (typeof insecure !== 'boolean')
    fail(`insecure = ${quoted(insecure)}, ${FAILS}`, 'write true or false, without quotes', 'podman.switch');
  if (use !== undefined && (!USES.has(use) || (isDigestOnly && use !== '')))
    fail(
      `pull-from-mirror = ${quoted(use)}${isDigestOnly ? ' beside mirror-by-digest-only' : ''}, ${FAILS}`,
      'write "all", "digest-only" or "tag-only", or leave it out',
    );
  if (location === undefined || location === '') {
    fail(
      `a mirror of ${quoted(registry)} has no location, ${FAILS}`,
      'write location = "HOST:PORT"',
      'podman.location',
    );
    return [];
  }
  if (!isLocation(location)) {
    fail(
      `the mirror ${quoted(location)} of ${quoted(registry)} ${whyNot(location)}, ${FAILS}`,
      `write location = ${quoted(String(location).replace(/^https?:\/\//, ''))}; for plain HTTP insecure = true beside it`,
      'podman.location',
    );
    return [];
  }
  if (
    /\s|\/\//.test(location) ||
    /[A-Z]/.test(location.replace(/^[^/]*/, '')) ||
    !URL.canParse(`https://${location}`)
  ) {
    fail(
      `the mirror ${quoted(location)} of ${quoted(registry)} is no HOST:PORT: pulls of it fail`,
      'write location = "HOST:PORT"',
      'podman.location',
    );
    return [];
  }
  // With `insecure` TLS is tried first, and plain HTTP where nobody speaks it.
  const url = new URL(`https://${location}`);
  return [
    {
      client: 'podman',
      file: path,
      url,
      registry: registry.replace(/\/$/, ''),
      isUnproven: insecure === true,
    },
  ];
}

/** What is asked for where an image names no registry. */
function searching(table: Table, fail: Fail): void {
  const { 'unqualified-search-registries': search = [], 'short-name-mode': mode } = table;
  const entries = Array.isArray(search) ? search : [search];
  const wrong = entries.find((entry) => typeof entry !== 'string' || !/^[\w.-]+(?::\d+)?\/*$/.test(entry));
  if (!Array.isArray(search) || wrong !== undefined)
    fail(
      `unqualified-search-registries has ${quoted(wrong ?? search)}, ${FAILS}`,
      'write a list of hosts: ["docker.io"]',
      'podman.search',
    );
  if (mode !== undefined && !['', 'enforcing', 'permissive', 'disabled'].includes(String(mode)))
    fail(
      `short-name-mode = ${quoted(mode)}, ${FAILS}`,
      'write "enforcing", "permissive" or "disabled"',
      'podman.search',
    );
}

/** One registry may have several prefixes, and must be the same each time. */
function contradictions(registries: readonly Table[], fail: Fail): void {
  const byLocation = new Map<unknown, Table>();
  for (const registry of registries) {
    const location = String(registry.location ?? registry.prefix).replace(/\/+$/, '');
    const other = byLocation.get(location) ?? registry;
    byLocation.set(location, other);
    for (const key of ['insecure', 'blocked'])
      if ((registry[key] ?? false) !== (other[key] ?? false))
        fail(
          `${quoted(location)} stands there twice, with another ${key} each, ${FAILS}`,
          'write the same in both',
        );
    if (/^\*\..*[/@:]/.test(String(registry.prefix ?? '')))
      fail(`prefix = ${quoted(registry.prefix)}, ${FAILS}`, 'write *.example.com', 'podman.location');
  }
}

/** Version 1 in the same file as version 2, or in a drop-in, is refused. */
function versions(path: string, table: Table, isDropIn: boolean): Finding[] {
  const old = ['search', 'insecure', 'block'].filter((key) => {
    const list = valueIn(table, 'registries', key, 'registries');
    return Array.isArray(list);
  });
  if (table.registries !== undefined && !isTable(table.registries))
    return [
      say.failed('podman.registry', `${path}: [[registries]] is none, ${FAILS}`, 'write [[registry]]', {
        file: path,
      }),
    ];
  if (old.length === 0) return [];
  const isEmpty = old.every(
    (key) => (valueIn(table, 'registries', key, 'registries') as unknown[]).length === 0,
  );
  const facts = { file: path };
  const hasNew = table.registry !== undefined || table['unqualified-search-registries'] !== undefined;
  if (isDropIn)
    return [
      say.failed(
        'podman.version',
        `${path} is of version 1 ([registries.…]), which drop-ins may not be, ${FAILS}`,
        'write [[registry]] tables',
        facts,
      ),
    ];
  if (hasNew && !isEmpty)
    return [
      say.failed(
        'podman.version',
        `${path} mixes version 1 ([registries.…]) with version 2 ([[registry]]), ${FAILS}`,
        'remove [registries.search] and its like; unqualified-search-registries takes their place',
        facts,
      ),
    ];
  if (isEmpty) return [];
  return [
    say.warning(
      'podman.version',
      `${path} is of version 1, which has no mirrors`,
      'write it in version 2: `hubcap setup podman --write` adds the mirror',
      facts,
    ),
  ];
}

/** Its parser takes keys in any case. */
function withPlainKeys(table: Table): Table {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key.toLowerCase(), value]));
}

function isLocation(value: unknown): value is string {
  return typeof value === 'string' && !/^https?:\/\//.test(value.replace(/\/+$/, ''));
}

function whyNot(value: unknown): string {
  return typeof value === 'string' ? 'has a scheme' : 'is no text';
}

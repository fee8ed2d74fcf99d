/** Owns the mirrors of hubcap in a `registries.conf` of podman and CRI-O. Pure. */
import { isPlainHttp, mirrorLocation } from '../mirror-address.ts';
import { mirrorText, registryText } from '../snippets/podman.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import { append, asLinesOf, lineEnd, placeOf, removeLines, splice } from './text.ts';
import { insertBefore, isAtOrBelow, parseToml, type Toml, type TomlTable, tableAt, valueAt } from './toml.ts';

/**
 * @param path of the file
 * @param upstreams that have or get their table in this file
 */
export function registriesConfEdit(path: string, url: URL, upstreams: readonly string[]): FileEdit {
  return {
    path,
    add(text = '') {
      return upstreams.reduce((now, upstream) => addMirror(now, url, upstream), text);
    },
    remove(text, before) {
      const known = before === undefined ? undefined : parseToml(before);
      return upstreams.reduce((now, upstream) => removeMirror(now, url, upstream, known), text);
    },
    has: (text) => mirroredPrefixes(text, url).length > 0,
    isNothing: (text) => text.trim() === '',
    read: (text) => parseToml(text).value,
  };
}

/** @returns the prefixes that a file has a table for */
export function prefixesOf(text: string): string[] {
  return registriesOf(parseToml(text)).flatMap(({ prefix }) => (prefix === undefined ? [] : [prefix]));
}

/** @returns those of its prefixes that hubcap is a mirror of */
export function mirroredPrefixes(text: string, url: URL): string[] {
  const registries = registriesOf(parseToml(text));
  return registries.flatMap(({ prefix, mirrors }) =>
    prefix !== undefined && mirrors.some(({ location }) => location === mirrorLocation(url, prefix))
      ? [prefix]
      : [],
  );
}

interface Mirror {
  location: unknown;
  isInsecure: boolean;
}

interface Registry {
  prefix: string | undefined;
  mirrors: Mirror[];
  index: number;
}

/** What has no prefix is for its location (containers/image, sysregistriesv2). */
function registriesOf({ value }: Toml): Registry[] {
  const registries = Array.isArray(value.registry) ? value.registry : [];
  return registries.map((registry, index) => {
    const prefix = valueAt(registry, ['prefix']) || valueAt(registry, ['location']);
    const mirrors = valueAt(registry, ['mirror']);
    return {
      index,
      prefix: typeof prefix === 'string' ? prefix.replace(/\/+$/, '') : undefined,
      mirrors: (Array.isArray(mirrors) ? mirrors : []).map((mirror) => ({
        location: valueAt(mirror, ['location']),
        isInsecure: valueAt(mirror, ['insecure']) === true,
      })),
    };
  });
}

function addMirror(text: string, url: URL, upstream: string): string {
  const toml = parseToml(text);
  const registry = registriesOf(toml).findLast(({ prefix }) => prefix === upstream);
  if (!registry) return append(text, registryText(url, upstream));
  const table = tableAt(toml, ['registry', registry.index]);
  const place = table && placeOf(text, table.range[0]);
  const there = registry.mirrors.find(({ location }) => location === mirrorLocation(url, upstream));
  if (there && isPlainHttp(url) && !there.isInsecure)
    throw new UneditableError(
      `the mirror ${mirrorLocation(url, upstream)} of ${upstream} needs insecure = true: it has no TLS`,
      place,
    );
  if (there) return text;
  if (!table || table.entries.some(({ key }) => key[0] === 'mirror'))
    throw new UneditableError(
      `the mirrors of ${upstream} are written without headers: write [[registry.mirror]] for each`,
      place,
    );
  const first = tableAt(toml, ['registry', registry.index, 'mirror', 0]);
  const block = mirrorText(url, upstream);
  return first ? insertBefore(text, first, block) : insertBehind(text, table, block);
}

function insertBehind(text: string, { range }: TomlTable, block: string): string {
  const at = lineEnd(text, range[1] - 1);
  const lead = text[at - 1] === '\n' ? '\n' : '\n\n';
  return splice(text, [at, at], asLinesOf(text, lead + block));
}

function removeMirror(text: string, url: URL, upstream: string, before: Toml | undefined): string {
  const toml = parseToml(text);
  const isOurs = ({ location }: Mirror) => location === mirrorLocation(url, upstream);
  const isFor = ({ prefix }: Registry) => prefix === upstream;
  const earlier = before && registriesOf(before).filter(isFor);
  if (earlier?.some(({ mirrors }) => mirrors.some(isOurs))) return text;
  const registry = registriesOf(toml).findLast(
    ({ prefix, mirrors }) => prefix === upstream && mirrors.some(isOurs),
  );
  if (!registry) return text;
  const path = ['registry', registry.index] as const;
  const table = tableAt(toml, path);
  const isBare = table?.entries.length === 1 && registry.mirrors.length === 1;
  if (table && isBare && (earlier === undefined || earlier.length === 0))
    return removeTables(
      text,
      toml.tables.filter((one) => isAtOrBelow(one, path)),
    );
  const mirror = tableAt(toml, [...path, 'mirror', registry.mirrors.findIndex(isOurs)]);
  return mirror ? removeTables(text, [mirror]) : text;
}

function removeTables(text: string, tables: readonly TomlTable[]): string {
  return tables.reduceRight((now, { range }) => removeLines(now, range, true), text);
}

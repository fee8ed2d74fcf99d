/** Owns the mirrors of hubcap in a `buildkitd.toml`. Pure. */
import { quote } from '../mirror-address.ts';
import { BUILDKITD_TOML, hostText, httpOf, mirrorsText } from '../snippets/buildkit.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import { append, placeOf, prependItem, removeItem, removeLines } from './text.ts';
import { entryAt, insertFirst, parseToml, type Toml, tableAt, valueAt } from './toml.ts';

export function buildkitdTomlEdit(url: URL, upstreams: readonly string[]): FileEdit {
  return {
    path: BUILDKITD_TOML,
    add(text = '') {
      const mirrored = upstreams.reduce((now, upstream) => addMirror(now, url, upstream), text);
      return addHttp(mirrored, url);
    },
    remove(text, before) {
      const known = before === undefined ? undefined : parseToml(before);
      const rest = upstreams.reduce((now, upstream) => removeMirror(now, url, upstream, known), text);
      const isStillUsed = mirroredRegistries(rest, url).length > 0;
      return isStillUsed ? rest : removeHttp(rest, url, known);
    },
    has: (text) => mirroredRegistries(text, url).length > 0,
    isNothing: (text) => text.trim() === '',
    read: (text) => parseToml(text).value,
  };
}

/** @returns the registries that hubcap is a mirror of */
export function mirroredRegistries(text: string, url: URL): string[] {
  const { registry } = parseToml(text).value;
  const registries = typeof registry === 'object' && registry !== null ? Object.entries(registry) : [];
  return registries.flatMap(([name, settings]) =>
    mirrorsOf(settings).some((one) => isMirror(one, url)) ? [name] : [],
  );
}

function mirrorsOf(settings: unknown): unknown[] {
  const mirrors = valueAt(settings, ['mirrors']);
  return Array.isArray(mirrors) ? mirrors : [];
}

/** BuildKit takes a URL too, and of it the host. */
function isMirror(mirror: unknown, url: URL): boolean {
  return typeof mirror === 'string' && mirror.replace(/^https?:\/\//, '').replace(/\/$/, '') === url.host;
}

function addMirror(text: string, url: URL, upstream: string): string {
  const toml = parseToml(text);
  const settings = valueAt(toml.value, ['registry', upstream]);
  if (mirrorsOf(settings).some((one) => isMirror(one, url))) return text;
  if (settings === undefined) return append(text, mirrorsText(url, upstream));
  const table = tableAt(toml, ['registry', upstream]);
  if (!table) throw unknownForm(toml, upstream);
  const mirrors = entryAt(table, 'mirrors');
  if (mirrors?.array) return prependItem(text, mirrors.array, quote(url.host));
  if (mirrors) throw new UneditableError('mirrors is no list', placeOf(text, mirrors.range[0]));
  return insertFirst(text, table, `mirrors = [${quote(url.host)}]`);
}

function addHttp(text: string, url: URL): string {
  const wanted = httpOf(url);
  const toml = parseToml(text);
  const settings = valueAt(toml.value, ['registry', url.host]);
  if (wanted === undefined || valueAt(settings, ['http']) === wanted) return text;
  if (settings === undefined) return append(text, hostText(url));
  const table = tableAt(toml, ['registry', url.host]);
  if (!table) throw unknownForm(toml, url.host);
  const entry = entryAt(table, 'http');
  if (!entry) return insertFirst(text, table, `http = ${wanted}`);
  const why = wanted ? 'it has no TLS' : 'it has TLS';
  throw new UneditableError(`${url.host} needs http = ${wanted}: ${why}`, placeOf(text, entry.range[0]));
}

function removeMirror(text: string, url: URL, upstream: string, before: Toml | undefined): string {
  const toml = parseToml(text);
  const path = ['registry', upstream];
  const table = tableAt(toml, path);
  const entry = table && entryAt(table, 'mirrors');
  const mirrors = mirrorsOf(valueAt(toml.value, path));
  const index = mirrors.findIndex((one) => isMirror(one, url));
  const earlier = before && valueAt(before.value, path);
  if (!table || !entry?.array || index < 0 || mirrorsOf(earlier).some((one) => isMirror(one, url)))
    return text;
  const hadMirrors = valueAt(earlier, ['mirrors']) !== undefined;
  if (mirrors.length > 1 || hadMirrors) return removeItem(text, entry.array, index);
  const isOurs = earlier === undefined && table.entries.length === 1;
  return removeLines(text, isOurs ? table.range : entry.range, isOurs);
}

function removeHttp(text: string, url: URL, before: Toml | undefined): string {
  if (httpOf(url) === undefined) return text;
  const path = ['registry', url.host];
  const table = tableAt(parseToml(text), path);
  const entry = table && entryAt(table, 'http');
  const earlier = before && valueAt(before.value, path);
  if (!table || !entry || valueAt(earlier, ['http']) !== undefined) return text;
  const isOurs = earlier === undefined && table.entries.length === 1;
  return removeLines(text, isOurs ? table.range : entry.range, isOurs);
}

function unknownForm({ text, tables, entries }: Toml, registry: string): UneditableError {
  const place =
    tables.find(({ key }) => key[0] === 'registry') ?? entries.find(({ key }) => key[0] === 'registry');
  return new UneditableError(
    `the settings of ${registry} are written without a header: write [registry.${quote(registry)}]`,
    place && placeOf(text, place.range[0]),
  );
}

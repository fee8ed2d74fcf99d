/** Owns `config_path` in containerd's `config.toml`. Pure. */
import { quote } from '../mirror-address.ts';
import { CONTAINERD_CONFIG, CONTAINERD_HOSTS, configText } from '../snippets/containerd.ts';
import { type FileEdit, UneditableError } from './file-edit.ts';
import { append, placeOf, removeLines, splice } from './text.ts';
import { entryAt, insertFirst, isAtOrBelow, parseToml, type Toml, tableAt, valueAt } from './toml.ts';

/** Where the settings of registries are, by the version of the file; 4 has them where 3 has. */
const REGISTRY_TABLES: Readonly<Record<number, readonly string[]>> = {
  1: ['plugins', 'cri', 'registry'],
  2: ['plugins', 'io.containerd.grpc.v1.cri', 'registry'],
  3: ['plugins', 'io.containerd.cri.v1.images', 'registry'],
};

/** By the version of the file: what has to be on for containerd to pull for Kubernetes. */
const PULLS: Readonly<Record<number, readonly string[]>> = {
  1: ['cri'],
  2: ['io.containerd.grpc.v1.cri'],
  3: ['io.containerd.grpc.v1.cri', 'io.containerd.cri.v1.images'],
};

const KEY = 'config_path';

export function containerdConfigEdit(): FileEdit {
  return {
    path: CONTAINERD_CONFIG,
    add(text = '') {
      const toml = parseToml(text);
      if (Object.keys(toml.value).length === 0) return append(text, configText());
      if (configPathOf(toml) !== '') return text;
      refuseOldTables(toml);
      const added = addConfigPath(toml);
      if (configPathOf(parseToml(added)) === CONTAINERD_HOSTS) return added;
      throw new UneditableError(
        `the table [${headerOf(toml)}] is written in a way that hubcap does not change`,
      );
    },
    remove(text, before) {
      // Without a copy from before nobody knows whose it is.
      if (before === undefined || configPathOf(parseToml(before)) !== '') return text;
      const toml = parseToml(text);
      return configPathOf(toml) === CONTAINERD_HOSTS ? removeConfigPath(toml, parseToml(before)) : text;
    },
    has: () => false, // the mirror is in other files
    isNothing: (text) => text.trim() === '',
    read: (text) => parseToml(text).value,
  };
}

/** @returns the directories of `hosts.toml` files that a `config.toml` names, in order */
export function hostDirectories(text: string): string[] {
  return configPathOf(parseToml(text))
    .split(':')
    .filter((directory) => directory !== '');
}

/** @returns whether containerd does not pull for Kubernetes at all; Docker brings a file that says so */
export function isCriOff(text: string): boolean {
  const toml = parseToml(text);
  const off = toml.value.disabled_plugins;
  return Array.isArray(off) && off.some((name) => PULLS[versionOf(toml)]?.includes(name));
}

/** @returns '' where there is none */
function configPathOf(toml: Toml): string {
  const value = valueAt(toml.value, [...registryTable(toml), KEY]);
  if (value === undefined || typeof value === 'string') return value ?? '';
  throw new UneditableError(`${KEY} is no text`);
}

/** containerd does not start with either of these beside `config_path`. */
function refuseOldTables(toml: Toml): void {
  for (const key of ['mirrors', 'configs']) {
    const path = [...registryTable(toml), key];
    const value = valueAt(toml.value, path);
    const names = typeof value === 'object' && value !== null ? Object.values(value) : [];
    const isInTheWay = key === 'mirrors' ? names.length > 0 : names.some((one) => valueAt(one, ['tls']));
    if (!isInTheWay) continue;
    const table = toml.tables.find((one) => isAtOrBelow(one, path));
    throw new UneditableError(
      `registry.${key === 'configs' ? 'configs.….tls' : key} cannot stand beside ${KEY}: move what it says into hosts.toml files below ${CONTAINERD_HOSTS}, then try again`,
      table && placeOf(toml.text, table.range[0]),
    );
  }
}

function addConfigPath(toml: Toml): string {
  const { text } = toml;
  const line = `${KEY} = ${quote(CONTAINERD_HOSTS)}`;
  const table = tableAt(toml, registryTable(toml));
  if (!table) return append(text, `[${headerOf(toml)}]\n  ${line}\n`);
  const empty = entryAt(table, KEY);
  return empty ? splice(text, empty.valueRange, quote(CONTAINERD_HOSTS)) : insertFirst(text, table, line);
}

function removeConfigPath(toml: Toml, before: Toml): string {
  const { text } = toml;
  const table = tableAt(toml, registryTable(toml));
  const entry = table && entryAt(table, KEY);
  if (!entry) return text;
  const tableBefore = tableAt(before, registryTable(before));
  const entryBefore = tableBefore && entryAt(tableBefore, KEY);
  if (entryBefore) return splice(text, entry.valueRange, '""');
  const isOurs = !tableBefore && table.entries.length === 1;
  return removeLines(text, isOurs ? table.range : entry.range, isOurs);
}

function registryTable(toml: Toml): readonly string[] {
  return REGISTRY_TABLES[versionOf(toml)] ?? [];
}

function headerOf(toml: Toml): string {
  return registryTable(toml)
    .map((part) => (/^[\w-]+$/.test(part) ? part : quote(part)))
    .join('.');
}

/** A file that says no version has the first. */
function versionOf({ value }: Toml): number {
  const version = Number(value.version ?? 1);
  return Math.min(Math.max(version, 1), 3);
}

/** Owns the inspection of containerd's config.toml: whether its CRI plugin reads hosts.toml at all. Pure. */
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import type { ClientFile } from './mirror-use.ts';
import { isTable, readToml, type Table, valueIn } from './toml.ts';

const say = voiceOf('clients');

/** Where each version of the file keeps the registries of the CRI plugin. */
const REGISTRY_OF: Readonly<Record<number, readonly string[]>> = {
  1: ['plugins', 'cri', 'registry'],
  2: ['plugins', 'io.containerd.grpc.v1.cri', 'registry'],
  3: ['plugins', 'io.containerd.cri.v1.images', 'registry'],
};
const CRI_NAMES: ReadonlySet<string> = new Set([
  'cri',
  'io.containerd.grpc.v1.cri',
  'io.containerd.cri.v1.images',
]);
export const DEFAULT_HOSTS_DIRECTORY = '/etc/containerd/certs.d';
const SETUP = '`hubcap setup containerd --write` does it';

export interface ContainerdInspection {
  findings: Finding[];
  /** where hosts.toml files are looked for */
  directories: string[];
  /** patterns of further files, as they are written */
  imports: string[];
}

/**
 * @param files config.toml and what it imports, in the order in which they count
 * @param hasHosts whether there are hosts.toml files in the usual place
 */
export function inspectContainerd(files: readonly ClientFile[], hasHosts: boolean): ContainerdInspection {
  const findings: Finding[] = [];
  const tables = files.flatMap((file) => {
    const read = readToml(file, 'containerd.toml', 'containerd does not start');
    if ('table' in read) return [{ ...file, table: read.table }];
    findings.push(read.finding);
    return [];
  });
  const imports = textsIn(valueIn(tables[0]?.table, 'imports'));
  const isOff = tables.some(({ table }) => isCriDisabled(table));
  const found = tables.flatMap(({ path, table }) => configPath(path, table, findings));
  const directories = [...new Set(found.flatMap((text) => text.split(':')).filter((text) => text !== ''))];
  const isBroken = findings.length > 0;
  if (directories.length === 0 && hasHosts && !isBroken)
    findings.push(isOff ? criOff() : pathMissing(tables));
  return { findings, directories: directories.length > 0 ? directories : [DEFAULT_HOSTS_DIRECTORY], imports };
}

/** @returns the paths that hold in this file, at most one; says what else is wrong with its registries */
function configPath(path: string, table: Table, findings: Finding[]): string[] {
  const version = versionOf(table);
  const paths = Object.entries(REGISTRY_OF).flatMap(([known, keys]): string[] => {
    const registry = valueIn(table, ...keys);
    if (!isTable(registry)) return [];
    if (Number(known) !== version) {
      const message = `${path}: the registries stand under "${keys[1]}", which a file of version ${version} does not have: containerd makes nothing of them`;
      const remedy = `write version = ${known} at the top, or use [${tomlPath(version)}]`;
      findings.push(say.failed('containerd.plugin-id', message, remedy, { file: path }));
      return [];
    }
    const text = registry.config_path;
    const isSet = typeof text === 'string' && text !== '';
    findings.push(...tableMirrors(path, registry, isSet));
    return isSet ? [text] : [];
  });
  return paths;
}

function tableMirrors(path: string, registry: Table, isPathSet: boolean): Finding[] {
  const mirrors = registry.mirrors;
  if (!isTable(mirrors) || Object.keys(mirrors).length === 0) return [];
  const facts = { file: path };
  if (isPathSet)
    return [
      say.failed(
        'containerd.both',
        `${path}: mirrors and config_path are both set: the CRI plugin does not load, and no pod starts`,
        'remove the mirrors tables; hosts.toml takes their place',
        facts,
      ),
    ];
  return [
    say.warning(
      'containerd.deprecated',
      `${path}: mirrors tables are deprecated, and newer containerd makes nothing of them`,
      `set config_path = "${DEFAULT_HOSTS_DIRECTORY}" and use hosts.toml: ${SETUP}`,
      facts,
    ),
  ];
}

function criOff(): Finding {
  const message = 'the CRI plugin is off: hosts.toml is for nerdctl and `ctr --hosts-dir` alone';
  return say.skipped('containerd.cri', message);
}

/** containerd 2 reads the usual place where nothing is said; containerd 1 reads none. */
function pathMissing(tables: readonly { path: string; table: Table }[]): Finding {
  const [main] = tables;
  const version = main ? versionOf(main.table) : 2;
  const path = main?.path ?? '/etc/containerd/config.toml';
  if (version >= 3)
    return say.ok(
      'containerd.config-path',
      `${path} sets no config_path: containerd 2 reads ${DEFAULT_HOSTS_DIRECTORY} then`,
    );
  const message = `${path} sets no config_path: the CRI plugin of containerd 1 makes nothing of hosts.toml`;
  const remedy = `write config_path = "${DEFAULT_HOSTS_DIRECTORY}" under [${tomlPath(version)}] and restart containerd: ${SETUP}`;
  return say.failed('containerd.config-path', message, remedy, { file: path });
}

function versionOf(table: Table): number {
  const version = table.version;
  return typeof version === 'number' || typeof version === 'bigint' ? Number(version) : 1;
}

function tomlPath(version: number): string {
  const keys = REGISTRY_OF[version] ?? REGISTRY_OF[3] ?? [];
  return keys.map((key) => (/^[\w-]+$/.test(key) ? key : quoted(key))).join('.');
}

function isCriDisabled(table: Table): boolean {
  return textsIn(table.disabled_plugins).some((name) => CRI_NAMES.has(name));
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
}

/** Owns the inspection of containerd's hosts.toml files, and of the directories that name their registries. Pure. */
import { type Finding, voiceOf } from '../check.ts';
import { quoted } from '../redact.ts';
import type { ClientFile, Inspection, MirrorUse } from './mirror-use.ts';
import { isTable, readToml, type Table } from './toml.ts';

const say = voiceOf('clients');
const CAPABILITIES: ReadonlySet<string> = new Set(['pull', 'resolve', 'push', 'referrers']);
/** Names of Docker Hub that images never have: nothing is looked up under them. */
const NEVER_NAMED: ReadonlySet<string> = new Set([
  'registry-1.docker.io',
  'index.docker.io',
  'hub.docker.com',
]);
/** containerd cannot read the whole file then, and goes to the registry itself. */
const IGNORED = 'containerd makes nothing of the file';

/** A directory below config_path. */
export interface HostDirectory {
  /** its name: a registry as containerd looks it up */
  name: string;
  path: string;
  /** undefined where there is none */
  hosts: ClientFile | undefined;
  /** other files in it */
  others: readonly string[];
}

export function inspectHostDirectory({ name, path, hosts, others }: HostDirectory): Inspection {
  const findings = directoryName(name, path);
  if (!hosts) {
    const near = others.find((other) => /^hosts?\.(?:toml|conf|txt|tml|toml\..*)$/i.test(other));
    if (near !== undefined) {
      const message = `${path}/${near}: containerd reads hosts.toml alone`;
      findings.push(say.failed('hosts.name', message, 'name it hosts.toml', { file: `${path}/${near}` }));
    }
    return { findings, mirrors: [] };
  }
  const inspected = inspectHosts(hosts, registryOf(name));
  return { findings: [...findings, ...inspected.findings], mirrors: inspected.mirrors };
}

/** @returns the registry that a directory is for, undefined for `_default`; `host_5000_` is `host:5000` */
export function registryOf(name: string): string | undefined {
  if (name === '_default') return undefined;
  return name.replace(/_(\d+)_$/, ':$1').toLowerCase();
}

function directoryName(name: string, path: string): Finding[] {
  if (!NEVER_NAMED.has(name)) return [];
  const message = `${path}: images of Docker Hub are docker.io's: nothing is looked up under ${name}`;
  return [say.failed('hosts.directory', message, 'name the directory docker.io', { file: path })];
}

function inspectHosts(file: ClientFile, registry: string | undefined): Inspection {
  const read = readToml(file, 'hosts.toml', IGNORED);
  if ('finding' in read) return { findings: [read.finding], mirrors: [] };
  const { path } = file;
  const { host, server } = read.table;
  const findings = [
    ...misnamed(path, read.table),
    ...serverFaults(path, server),
    ...capabilities(path, read.table),
  ];
  if (host === undefined) return { findings, mirrors: [] };
  if (!isTable(host)) {
    const message = `${path}: host is ${quoted(host)}, ${IGNORED}`;
    findings.push(say.failed('hosts.table', message, 'write [host."http://HOST:PORT"]', { file: path }));
    return { findings, mirrors: [] };
  }
  const mirrors = Object.entries(host).flatMap(([name, settings]): MirrorUse[] => {
    const faults = hostFaults(path, name, settings);
    findings.push(...faults.findings);
    if (!faults.url) return [];
    const isUnproven = isTable(settings) && settings.skip_verify === true;
    return [{ client: 'containerd', file: path, url: faults.url, registry, isUnproven }];
  });
  return { findings, mirrors };
}

function misnamed(path: string, table: Table): Finding[] {
  return ['hosts', 'mirror', 'mirrors', 'registry', 'endpoint', 'plugins'].flatMap((key): Finding[] => {
    if (!Object.hasOwn(table, key)) return [];
    const message = `${path}: containerd makes nothing of ${quoted(key)} here`;
    const remedy = 'write [host."http://HOST:PORT"]: `hubcap setup containerd` shows the whole file';
    return [say.failed('hosts.key', message, remedy, { file: path })];
  });
}

function serverFaults(path: string, server: unknown): Finding[] {
  if (server === undefined) return []; // containerd then asks the registry itself at its own address
  const facts = { file: path };
  if (typeof server !== 'string')
    return [
      say.failed(
        'hosts.server',
        `${path}: server is ${quoted(server)}, ${IGNORED}`,
        'write server = "https://…"',
        facts,
      ),
    ];
  const url = URL.parse(/^https?:\/\//.test(server) ? server : `https://${server}`);
  if (!url)
    return [
      say.failed(
        'hosts.server',
        `${path}: server = ${quoted(server)} is no address, ${IGNORED}`,
        'write server = "https://HOST"',
        facts,
      ),
    ];
  if (!['docker.io', 'www.docker.com', 'hub.docker.com'].includes(url.host)) return [];
  const message = `${path}: server = ${quoted(server)} is no registry: where the mirror fails, pulls fail`;
  return [say.failed('hosts.server', message, 'write server = "https://registry-1.docker.io"', facts)];
}

function hostFaults(
  path: string,
  name: string,
  settings: unknown,
): { findings: Finding[]; url: URL | undefined } {
  const facts = { file: path };
  const none = (id: string, message: string, remedy: string) => {
    return { findings: [say.failed(id, `${path}: ${message}`, remedy, facts)], url: undefined };
  };
  if (!isTable(settings))
    return none(
      'hosts.host',
      `host ${quoted(name)} is no table, ${IGNORED}`,
      'write [host."http://HOST:PORT"]',
    );
  const hasScheme = /^https?:\/\//.test(name);
  // containerd looks at the first four letters alone
  if (!hasScheme && name.startsWith('http'))
    return none('hosts.url', `host ${quoted(name)} is no URL`, 'write [host."http://HOST:PORT"]');
  const url = URL.parse(hasScheme ? name : `https://${name}`);
  if (!url || url.hostname === '')
    return none('hosts.url', `host ${quoted(name)} is no URL`, 'write [host."http://HOST:PORT"]');
  const findings = capabilities(path, settings, name);
  if (url.username || url.password)
    findings.push(
      say.failed(
        'hosts.credentials',
        `${path}: host ${quoted(name)} has credentials in it, which containerd does not send`,
        'remove them',
        facts,
      ),
    );
  if (!hasScheme)
    findings.push(
      say.warning(
        'hosts.scheme',
        `${path}: host ${quoted(name)} has no scheme: containerd asks it by https`,
        `write [host."http://${url.host}"] for plain HTTP`,
        facts,
      ),
    );
  return { findings, url };
}

/** Left out, they are all of them. */
function capabilities(path: string, table: Table, name?: string): Finding[] {
  const { capabilities } = table;
  const of = name === undefined ? 'server' : `host ${quoted(name)}`;
  const facts = { file: path };
  if (capabilities === undefined) return [];
  if (!Array.isArray(capabilities) || capabilities.some((one) => typeof one !== 'string'))
    return [
      say.failed(
        'hosts.capabilities',
        `${path}: ${of}: capabilities is no list of text, ${IGNORED}`,
        'write capabilities = ["pull", "resolve"]',
        facts,
      ),
    ];
  const given = capabilities.map((one) => String(one).toLowerCase());
  const unknown = given.find((one) => !CAPABILITIES.has(one));
  if (unknown !== undefined)
    return [
      say.failed(
        'hosts.capabilities',
        `${path}: ${of}: containerd knows no capability ${quoted(unknown)}, ${IGNORED}`,
        'write capabilities = ["pull", "resolve"]',
        facts,
      ),
    ];
  if (name === undefined || given.length === 0) return [];
  const missing = ['pull', 'resolve'].filter((one) => !given.includes(one));
  if (missing.length === 0) return [];
  const what = missing.includes('pull')
    ? 'it is not pulled from'
    : 'tags are asked of the registry itself, not of it';
  return [
    say.failed(
      'hosts.capabilities',
      `${path}: ${of} lacks the capability ${missing.join(' and ')}: ${what}`,
      'write capabilities = ["pull", "resolve"]',
      facts,
    ),
  ];
}

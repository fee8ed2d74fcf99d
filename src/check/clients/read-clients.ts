/** Owns going through the clients of a machine: what is there is inspected, what is not is left out. */
import { dirname, join } from 'node:path';
import { BUILDKITD_TOML } from '../../clients/snippets/buildkit.ts';
import { CONTAINERD_CONFIG } from '../../clients/snippets/containerd.ts';
import { DAEMON_JSON } from '../../clients/snippets/docker.ts';
import { K3S_REGISTRIES, RKE2_REGISTRIES } from '../../clients/snippets/k3s.ts';
import { type Finding, voiceOf } from '../check.ts';
import { inspectBuildkitd } from './buildkitd.ts';
import { DEFAULT_HOSTS_DIRECTORY, inspectContainerd } from './containerd.ts';
import { inspectDaemonJson } from './docker.ts';
import { type FoundFlag, flagsInUnits, inspectFlags } from './docker-flags.ts';
import { type HostDirectory, inspectHostDirectory } from './hosts-toml.ts';
import { inspectRegistriesYaml } from './k3s.ts';
import { type ClientFile, type Inspection, joined } from './mirror-use.ts';
import type { ClientFiles } from './read-files.ts';
import { inspectRegistriesConf } from './registries-conf.ts';

const say = voiceOf('clients');
const UNITS = ['/usr/lib/systemd/system', '/lib/systemd/system', '/etc/systemd/system'];
const ENVIRONMENT_FILES = ['/etc/default/docker', '/etc/sysconfig/docker'];
const CONTAINERS = '/etc/containers';
/** A file is one mirror or a few; there is no need to look at more. */
const MAX_HOST_DIRECTORIES = 200;

/** What a machine's clients say; of Docker what the running daemon is compared with. */
export interface ClientsRead extends Inspection {
  /** what daemon.json has as mirrors; undefined where it cannot be told */
  dockerMirrors: readonly string[] | undefined;
}

/** @param running flags of a dockerd that runs. @param home of the user, whose registries.conf goes before the machine's */
export async function readClients(
  files: ClientFiles,
  { running = [], home }: { running?: readonly FoundFlag[]; home?: string | undefined } = {},
): Promise<ClientsRead> {
  const [docker, ...others] = await Promise.all([
    readDocker(files, running),
    readContainerd(files),
    readPodman(files, home),
    readOne(files, K3S_REGISTRIES, inspectRegistriesYaml),
    readOne(files, RKE2_REGISTRIES, inspectRegistriesYaml),
    readOne(files, BUILDKITD_TOML, inspectBuildkitd),
  ]);
  const { findings, mirrors } = joined([docker, ...others]);
  const unread = files.unread.map(({ path, reason }) =>
    say.skipped('clients.unread', `${path} ${reason}`, { file: path }),
  );
  return { findings: [...findings, ...unread], mirrors, dockerMirrors: docker.dockerMirrors };
}

async function readDocker(files: ClientFiles, running: readonly FoundFlag[]): Promise<ClientsRead> {
  const file = await files.read(DAEMON_JSON);
  const flags = [...flagsInUnits(await readUnits(files), await readEnvironment(files)), ...running];
  const isUnread = files.unread.some(({ path }) => path === DAEMON_JSON);
  if (!file) {
    const findings = [
      ...inspectFlags(flags, undefined),
      ...(isUnread ? [] : await withoutFile(files, flags)),
    ];
    return { findings, mirrors: [], dockerMirrors: flags.length === 0 && !isUnread ? [] : undefined };
  }
  const { findings, mirrors, keys, mirrorEntries } = inspectDaemonJson(file);
  const all = [...findings, ...inspectFlags(flags, keys)];
  const hasMirror = mirrorEntries.length > 0 || flags.some(({ name }) => name === 'registry-mirror');
  if (!hasMirror && !findings.some(({ status }) => status === 'failed'))
    all.push(
      say.skipped('docker.none', `${DAEMON_JSON} names no mirror: \`hubcap setup docker --write\` adds it`),
    );
  const isTold = keys !== undefined && !flags.some(({ name }) => name === 'registry-mirror');
  return { findings: all, mirrors, dockerMirrors: isTold ? mirrorEntries : undefined };
}

async function withoutFile(files: ClientFiles, flags: readonly FoundFlag[]): Promise<Finding[]> {
  if (flags.some(({ name }) => name === 'registry-mirror')) return [];
  const isThere = await Promise.all(
    ['/usr/bin', '/usr/sbin', '/usr/local/bin'].map((path) => files.list(path)),
  );
  if (!isThere.flat().includes('dockerd')) return [];
  const message = `Docker is here, without ${DAEMON_JSON}: \`hubcap setup docker --write\` makes it`;
  return [say.skipped('docker.none', message)];
}

/** The unit of the directory that goes before the others, then the drop-ins of all. */
async function readUnits(files: ClientFiles): Promise<ClientFile[]> {
  const units = await Promise.all(UNITS.map((path) => files.read(join(path, 'docker.service'))));
  const dropIns = await Promise.all(
    UNITS.map((path) => files.readAll(join(path, 'docker.service.d'), '.conf')),
  );
  const unit = units.findLast((one) => one !== undefined);
  const nameOf = ({ path }: ClientFile): string => path.slice(path.lastIndexOf('/'));
  const byName = new Map(dropIns.flat().map((one) => [nameOf(one), one]));
  const inOrder = [...byName.values()].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return [...(unit ? [unit] : []), ...inOrder];
}

async function readEnvironment(files: ClientFiles): Promise<Map<string, string>> {
  const read = await Promise.all(ENVIRONMENT_FILES.map((path) => files.read(path)));
  return new Map(read.flatMap((file) => (file ? [[file.path, file.text] as const] : [])));
}

async function readContainerd(files: ClientFiles): Promise<Inspection> {
  const main = await files.read(CONTAINERD_CONFIG);
  const usual = await readHostDirectories(files, DEFAULT_HOSTS_DIRECTORY);
  if (!main && usual.length === 0) return { findings: [], mirrors: [] };
  const first = main ? [main] : [];
  const hasHosts = usual.some(({ hosts }) => hosts !== undefined);
  const { imports } = inspectContainerd(first, hasHosts);
  const { findings, directories } = inspectContainerd(
    [...first, ...(await readImports(files, imports))],
    hasHosts,
  );
  const read = await Promise.all(
    directories.map((path) => (path === DEFAULT_HOSTS_DIRECTORY ? usual : readHostDirectories(files, path))),
  );
  const hosts = read.flat().map(inspectHostDirectory);
  return joined([{ findings, mirrors: [] }, ...hosts]);
}

/** `/etc/containerd/conf.d/*.toml`, or one file. */
async function readImports(files: ClientFiles, imports: readonly string[]): Promise<ClientFile[]> {
  const read = await Promise.all(
    imports.map(async (pattern) => {
      const path = pattern.startsWith('/') ? pattern : join(dirname(CONTAINERD_CONFIG), pattern);
      const [, directory, ending] = /^(.*)\/\*([^*/]*)$/.exec(path) ?? [];
      if (directory !== undefined) return await files.readAll(directory, ending ?? '');
      return await files.read(path);
    }),
  );
  return read.flat().filter((file) => file !== undefined);
}

async function readHostDirectories(files: ClientFiles, root: string): Promise<HostDirectory[]> {
  const names = (await files.list(root)).slice(0, MAX_HOST_DIRECTORIES);
  return await Promise.all(
    names.map(async (name) => {
      const path = join(root, name);
      const others = await files.list(path);
      const hosts = others.includes('hosts.toml') ? await files.read(join(path, 'hosts.toml')) : undefined;
      return { name, path, hosts, others };
    }),
  );
}

/** The user's own file takes the place of the machine's, drop-ins included. */
async function readPodman(files: ClientFiles, home: string | undefined): Promise<Inspection> {
  const own = home === undefined ? undefined : join(home, '.config/containers');
  const ownFile = own === undefined ? undefined : await files.read(join(own, 'registries.conf'));
  const main = ownFile ?? (await files.read(join(CONTAINERS, 'registries.conf')));
  const directories = [...(ownFile ? [] : [CONTAINERS]), ...(own === undefined ? [] : [own])];
  const dropIns = await Promise.all(
    directories.map((path) => files.readAll(join(path, 'registries.conf.d'), '.conf')),
  );
  return joined([
    ...(main ? [inspectRegistriesConf(main, false)] : []),
    ...dropIns.flat().map((file) => inspectRegistriesConf(file, true)),
  ]);
}

async function readOne(
  files: ClientFiles,
  path: string,
  inspect: (file: ClientFile) => Inspection,
): Promise<Inspection> {
  const file = await files.read(path);
  return file ? inspect(file) : { findings: [], mirrors: [] };
}

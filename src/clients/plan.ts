/** Owns which files of a client are to be changed for a mirror: it looks at what is there. */
import { changesToUndo } from './changes.ts';
import { about, backupOf, type ClientFiles } from './client-files.ts';
import { buildkitdTomlEdit, mirroredRegistries } from './edits/buildkitd-toml.ts';
import { containerdConfigEdit, hostDirectories, isCriOff } from './edits/containerd-config.ts';
import { daemonJsonEdit } from './edits/daemon-json.ts';
import type { FileEdit } from './edits/file-edit.ts';
import { hostsTomlEdit, namesMirror } from './edits/hosts-toml.ts';
import { mirroredPrefixes, prefixesOf, registriesConfEdit } from './edits/registries-conf.ts';
import { mirroredHosts, registriesYamlEdit } from './edits/registries-yaml.ts';
import { DOCKER_HUB } from './mirror-address.ts';
import type { ClientName, SnippetWish } from './snippet.ts';
import { BUILDKITD_TOML } from './snippets/buildkit.ts';
import { CONTAINERD_CONFIG, CONTAINERD_HOSTS } from './snippets/containerd.ts';
import { DOCKER_HOSTS } from './snippets/docker.ts';
import { K3S_REGISTRIES, RKE2_REGISTRIES } from './snippets/k3s.ts';
import { OWN_REGISTRIES_CONF, REGISTRIES_CONF, REGISTRIES_CONF_D } from './snippets/podman.ts';

export interface Plan {
  edits: FileEdit[];
  /** what is special about the files that were found */
  notes: string[];
}

/** Clients that are set up in files. */
export type FileClient = Exclude<ClientName, 'kaniko'>;

export function isFileClient(client: ClientName): client is FileClient {
  return client !== 'kaniko';
}

/** @returns what is to be changed so that the client pulls through the mirror @throws UneditableError */
export function planFor(client: FileClient, wish: SnippetWish, files: ClientFiles): Plan {
  return PLANS[client](wish, files);
}

/** @returns what is to be changed so that it does not any more @throws UneditableError */
export function planUndo(client: FileClient, wish: SnippetWish, files: ClientFiles): Plan {
  const { edits } = PLANS[client](wish, files);
  if (client !== 'containerd') return { edits, notes: [] };
  const hosts = edits.filter(({ path }) => path !== CONTAINERD_CONFIG);
  const isOurs = wish.upstreams.length > 0 || files.read(backupOf(CONTAINERD_CONFIG)) !== undefined;
  if (!isOurs) return { edits: hosts, notes: [] };
  const others = (files.list(CONTAINERD_HOSTS) ?? []).filter((name) => !wish.upstreams.includes(name));
  const isNeeded = others.length > 0 || changesToUndo(hosts, files).some(({ after }) => after !== undefined);
  const note = `config_path in ${CONTAINERD_CONFIG} is left as it is: there are other hosts.toml files.`;
  return isNeeded ? { edits: hosts, notes: [note] } : { edits, notes: [] };
}

/** @returns the registries for which the files of the client name the mirror @throws UneditableError */
export function findMirrored(client: FileClient, url: URL, files: ClientFiles): string[] {
  const inFile = (path: string, find: (text: string, url: URL) => string[]) => {
    const text = files.read(path);
    return text === undefined ? [] : about(path, () => find(text, url));
  };
  switch (client) {
    case 'docker':
      return [DOCKER_HUB, ...findHosts([DOCKER_HOSTS], url, files).filter((host) => host !== DOCKER_HUB)];
    case 'containerd':
      return findHosts(hostRoots(files), url, files);
    case 'buildkit':
      return inFile(BUILDKITD_TOML, mirroredRegistries);
    case 'k3s':
      return inFile(registriesYaml(files), mirroredHosts);
    case 'podman':
    case 'crio':
      return [...new Set(registriesConfs(files).flatMap((path) => inFile(path, mirroredPrefixes)))];
  }
}

const PLANS: Readonly<Record<FileClient, (wish: SnippetWish, files: ClientFiles) => Plan>> = {
  docker: planDocker,
  containerd: planContainerd,
  podman: planRegistriesConf,
  crio: planRegistriesConf,
  buildkit: ({ url, upstreams }) => ({ edits: [buildkitdTomlEdit(url, upstreams)], notes: [] }),
  k3s: ({ url, upstreams }, files) => ({
    edits: [registriesYamlEdit(registriesYaml(files), url, upstreams)],
    notes: [],
  }),
};

/** Where a `hosts.toml` names hosts, Docker 29 and later do not look at `registry-mirrors` (mergeLegacyConfig). */
function planDocker({ url, upstreams }: SnippetWish, files: ClientFiles): Plan {
  const hubHosts = `${hostDirectory([DOCKER_HOSTS], DOCKER_HUB, files)}/hosts.toml`;
  const inHosts = upstreams.filter((host) => host !== DOCKER_HUB || files.read(hubHosts) !== undefined);
  const hosts = planHosts([DOCKER_HOSTS], { url, upstreams: inHosts }, files);
  const daemonJson = upstreams.includes(DOCKER_HUB) ? [daemonJsonEdit(url)] : [];
  return { edits: [...daemonJson, ...hosts.edits], notes: hosts.notes };
}

function planContainerd(wish: SnippetWish, files: ClientFiles): Plan {
  const { edits, notes } = planHosts(hostRoots(files), wish, files);
  const config = files.read(CONTAINERD_CONFIG);
  if (config !== undefined && about(CONTAINERD_CONFIG, () => isCriOff(config))) {
    const note = `${CONTAINERD_CONFIG} switches off what pulls for Kubernetes (disabled_plugins), and is left as it is: nerdctl reads ${CONTAINERD_HOSTS}, ctr does with --hosts-dir.`;
    return { edits, notes: [...notes, note] };
  }
  return { edits: [...edits, containerdConfigEdit()], notes };
}

function hostRoots(files: ClientFiles): string[] {
  const config = files.read(CONTAINERD_CONFIG) ?? '';
  const roots = about(CONTAINERD_CONFIG, () => hostDirectories(config));
  return roots.length > 0 ? roots : [CONTAINERD_HOSTS];
}

function planHosts(roots: readonly string[], { url, upstreams }: SnippetWish, files: ClientFiles): Plan {
  const places = upstreams.map((upstream) => ({
    upstream,
    directory: hostDirectory(roots, upstream, files),
  }));
  return {
    edits: places.map(({ upstream, directory }) => hostsTomlEdit(`${directory}/hosts.toml`, url, upstream)),
    notes: places.flatMap(({ upstream, directory }) => {
      const names = files.list(directory) ?? [];
      const hasCertificates =
        names.some((name) => /\.(?:crt|cert)$/.test(name)) && !names.includes('hosts.toml');
      return hasCertificates
        ? [
            `The certificates in ${directory} are not looked at where there is a hosts.toml: name them in it (ca, client) if ${upstream} needs them.`,
          ]
        : [];
    }),
  };
}

/** The first directory that is there for a registry; containerd writes a port as `_5000_` too, and looks for that first. */
function hostDirectory(roots: readonly string[], upstream: string, files: ClientFiles): string {
  const names = [upstream.replace(/:(\d+)$/, '_$1_'), upstream];
  const there = roots.flatMap((root) => names.map((name) => `${root}/${name}`));
  return there.find((path) => files.list(path) !== undefined) ?? `${roots[0]}/${upstream}`;
}

function findHosts(roots: readonly string[], url: URL, files: ClientFiles): string[] {
  const found = roots.flatMap((root) =>
    (files.list(root) ?? []).filter((name) => {
      const path = `${root}/${name}/hosts.toml`;
      const text = files.read(path);
      return text !== undefined && about(path, () => namesMirror(text, url));
    }),
  );
  return [...new Set(found.map((name) => name.replace(/_(\d+)_$/, ':$1')))];
}

/** A table counts in the last file that has it. What has none gets it in a file of its own. */
function planRegistriesConf({ url, upstreams }: SnippetWish, files: ClientFiles): Plan {
  const places = new Map<string, string>();
  const narrower = new Set<string>();
  for (const path of registriesConfs(files)) {
    const text = files.read(path) ?? '';
    for (const prefix of about(path, () => prefixesOf(text))) {
      places.set(prefix, path);
      const isNarrower = upstreams.some((upstream) => prefix.startsWith(`${upstream}/`));
      if (isNarrower) narrower.add(`${prefix} (${path})`);
    }
  }
  const byPath = new Map<string, string[]>();
  for (const upstream of upstreams) {
    const path = places.get(upstream) ?? OWN_REGISTRIES_CONF;
    byPath.set(path, [...(byPath.get(path) ?? []), upstream]);
  }
  return {
    edits: [...byPath].map(([path, some]) => registriesConfEdit(path, url, some)),
    notes: [...narrower].map(
      (prefix) => `Not mirrored: what begins with ${prefix}, which has a [[registry]] of its own.`,
    ),
  };
}

function registriesConfs(files: ClientFiles): string[] {
  const names = (files.list(REGISTRIES_CONF_D) ?? []).filter((name) => name.endsWith('.conf'));
  return [REGISTRIES_CONF, ...names.map((name) => `${REGISTRIES_CONF_D}/${name}`)];
}

/** @returns the file of RKE2 where that is what is there */
export function registriesYaml(files: ClientFiles): string {
  const isThere = (path: string) => files.list(path.replace(/\/[^/]+$/, '')) !== undefined;
  return !isThere(K3S_REGISTRIES) && isThere(RKE2_REGISTRIES) ? RKE2_REGISTRIES : K3S_REGISTRIES;
}

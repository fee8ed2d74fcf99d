/** Owns what Docker needs. Pure. */
import { DOCKER_HUB, isLoopbackV4, isPlainHttp, listHosts } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';
import { hostsFiles } from './containerd.ts';

export const DAEMON_JSON = '/etc/docker/daemon.json';
export const DOCKER_HOSTS = '/etc/docker/certs.d';

/** What Docker takes plain HTTP from without being told; Docker 29.10 and later only where nothing is told. */
export const DEFAULT_INSECURE: readonly string[] = ['127.0.0.0/8', '::1/128'];

/**
 * `docker pull` takes the scheme that a mirror is given with, and needs none of this. The BuildKit in Docker before 29
 * takes the host alone: it speaks TLS to what is not on the loopback, and goes past a mirror that does not, unless that
 * is insecure; before Docker 24 it must have its scheme there (moby, daemon.RegistryHosts; moby#45992).
 * @param there what `insecure-registries` has; undefined where it is not there
 * @returns what it has to have besides, so that `docker build` pulls through the mirror as well
 */
export function missingInsecure(url: URL, there: readonly string[] | undefined): string[] {
  if (!isPlainHttp(url) || isLoopbackV4(url)) return [];
  if (there === undefined) return [...DEFAULT_INSECURE, url.origin];
  return there.includes(url.host) || there.includes(url.origin) ? [] : [url.origin];
}

export function dockerSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  const others = upstreams.filter((upstream) => upstream !== DOCKER_HUB);
  const insecure = missingInsecure(url, undefined);
  const settings = {
    'registry-mirrors': [url.origin],
    ...(insecure.length > 0 && { 'insecure-registries': insecure }),
  };
  const daemonJson = {
    path: DAEMON_JSON,
    language: 'json',
    text: `${JSON.stringify(settings, undefined, 2)}\n`,
  } as const;
  return {
    client: 'docker',
    title: 'Docker',
    files: [
      ...(upstreams.includes(DOCKER_HUB) ? [daemonJson] : []),
      ...hostsFiles(DOCKER_HOSTS, { url, upstreams: others }),
    ],
    reload: 'systemctl reload docker',
    notes: [
      "registry-mirrors is for Docker Hub alone: that is Docker's rule.",
      `Docker does not start where ${insecure.length > 0 ? '--registry-mirror or --insecure-registry' : '--registry-mirror'} is given to it as a flag too.`,
      ...(others.length > 0
        ? [
            `The hosts.toml for ${listHosts(others)} is read by Docker 29 and later with the containerd image store. Any other Docker does not look at it, and fetches from ${listHosts(others)} without the mirror.`,
          ]
        : []),
      ...(insecure.length > 0
        ? [
            'insecure-registries is for docker build: the BuildKit in Docker before 29 goes past a mirror with plain HTTP without it, unlike docker pull.',
            `${listHosts(DEFAULT_INSECURE)} are what Docker starts with; Docker 29.10 and later forgets them where insecure-registries is given.`,
          ]
        : []),
      'Where hubcap does not answer, Docker asks the registry itself.',
    ],
  };
}

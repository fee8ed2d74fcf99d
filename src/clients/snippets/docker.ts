/** Owns what Docker needs. Pure. */
import { DOCKER_HUB, isLoopbackV4, isPlainHttp, listHosts } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';
import { hostsFiles } from './containerd.ts';

export const DAEMON_JSON = '/etc/docker/daemon.json';
export const DOCKER_HOSTS = '/etc/docker/certs.d';

/**
 * `pull` of any Docker takes the scheme that a mirror is given with. The BuildKit in Docker before 29 takes the host
 * alone, and HTTP for it only where it is insecure (moby, daemon.RegistryHosts; 127.0.0.0/8 is from the beginning).
 * @returns the hosts that `insecure-registries` has to name
 */
export function insecureRegistries(url: URL): string[] {
  return isPlainHttp(url) && !isLoopbackV4(url) ? [url.host] : [];
}

export function dockerSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  const others = upstreams.filter((upstream) => upstream !== DOCKER_HUB);
  const insecure = insecureRegistries(url);
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
      ...(others.length > 0
        ? [
            `The hosts.toml for ${listHosts(others)} is read by Docker 29 and later with the containerd image store. Any other Docker does not look at it, and fetches from ${listHosts(others)} without the mirror.`,
          ]
        : []),
      'Where hubcap does not answer, Docker asks the registry itself.',
    ],
  };
}

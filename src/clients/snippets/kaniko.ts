/** Owns what kaniko needs. Pure. */
import { DOCKER_HUB, hostWithPort, isLoopback, isPlainHttp, listHosts } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';

export function kanikoSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  const host = hostWithPort(url);
  const others = upstreams.filter((upstream) => upstream !== DOCKER_HUB);
  const flags = [`--registry-mirror=${host}`, ...(isPlainHttp(url) ? [`--insecure-registry=${host}`] : [])];
  return {
    client: 'kaniko',
    title: 'kaniko',
    files: upstreams.includes(DOCKER_HUB)
      ? [{ path: undefined, language: 'shell', text: `${flags.join(' ')}\n` }]
      : [],
    reload: 'Nothing is to be reloaded: give the flags to each run of the executor.',
    notes: [
      'kaniko mirrors Docker Hub alone.',
      ...(others.length > 0
        ? [
            // It takes the first part of a mapped name for a registry again where that has a dot (NewRepository).
            `Not mirrored: ${listHosts(others)}. --registry-map does not help: it cannot name a registry behind a mirror.`,
          ]
        : []),
      ...(isPlainHttp(url)
        ? []
        : [
            `A certificate that kaniko does not trust is given with --registry-certificate=${host}=/path/to/ca.crt.`,
          ]),
      ...(isLoopback(url)
        ? [
            `In a container ${url.hostname} is that container: give an address of hubcap that the build reaches (--url).`,
          ]
        : []),
    ],
  };
}

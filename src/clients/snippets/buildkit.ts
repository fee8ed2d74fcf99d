/** Owns what BuildKit needs. Pure. */
import { isLoopback, isPlainHttp, listHosts, quote } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';

export const BUILDKITD_TOML = '/etc/buildkit/buildkitd.toml';

export function buildkitSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  const tables = [
    ...upstreams.map((upstream) => mirrorsText(url, upstream)),
    ...(httpOf(url) === undefined ? [] : [hostText(url)]),
  ];
  const isLocal = isLoopback(url);
  const network = isLocal ? ' --driver-opt network=host' : '';
  return {
    client: 'buildkit',
    title: 'BuildKit',
    files: [
      { path: BUILDKITD_TOML, language: 'toml', text: tables.join('\n') },
      {
        path: undefined,
        language: 'shell',
        text: `docker buildx create --use --driver docker-container${network} --buildkitd-config ${BUILDKITD_TOML}\n`,
      },
    ],
    reload: 'systemctl restart buildkit',
    notes: [
      `Mirrored: ${listHosts(upstreams)}. BuildKit names the registry in each request, so one hubcap serves them all.`,
      'The restart is for a buildkitd of its own. A builder of buildx keeps the file that it was created with: create it anew. (An older buildx calls the flag --config.)',
      'The BuildKit inside of Docker does not read this file: it uses what is set up for Docker.',
      ...(isLocal
        ? [
            `To a builder in a container ${url.hostname} is that container, hence network=host. Without it, give an address that the container reaches (--url).`,
          ]
        : []),
    ],
  };
}

/** @returns the table of one registry. A mirror is a host; how it is spoken to is in a table of its own. */
export function mirrorsText(url: URL, upstream: string): string {
  return `[registry.${quote(upstream)}]
  mirrors = [${quote(url.host)}]
`;
}

/** @returns what `http` has to be for the mirror: BuildKit takes TLS for granted, and plain HTTP on the loopback; undefined where that is so */
export function httpOf(url: URL): boolean | undefined {
  return isPlainHttp(url) ? true : isLoopback(url) ? false : undefined;
}

/** @returns the table of the mirror's own host */
export function hostText(url: URL): string {
  return `[registry.${quote(url.host)}]
  http = ${httpOf(url)}
`;
}

/** Owns what podman and CRI-O need, which read the same files (containers/image). Pure. */
import { isPlainHttp, listHosts, mirrorLocation, quote } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';

export const REGISTRIES_CONF = '/etc/containers/registries.conf';
export const REGISTRIES_CONF_D = '/etc/containers/registries.conf.d';
/** Files of that directory count in the order of their names, the last for a prefix alone. */
export const OWN_REGISTRIES_CONF = `${REGISTRIES_CONF_D}/50-hubcap.conf`;

export function podmanSnippet(wish: SnippetWish): ClientSnippet {
  return {
    ...registriesSnippet(wish),
    client: 'podman',
    title: 'podman',
    reload: 'Nothing is to be reloaded: podman, Buildah and skopeo read it each time they start.',
  };
}

export function crioSnippet(wish: SnippetWish): ClientSnippet {
  return { ...registriesSnippet(wish), client: 'crio', title: 'CRI-O', reload: 'systemctl reload crio' };
}

function registriesSnippet({ url, upstreams }: SnippetWish): Pick<ClientSnippet, 'files' | 'notes'> {
  return {
    files: [
      {
        path: OWN_REGISTRIES_CONF,
        language: 'toml',
        text: upstreams.map((upstream) => registryText(url, upstream)).join('\n'),
      },
    ],
    notes: [
      `Mirrored: ${listHosts(upstreams)}. podman, Buildah, skopeo and CRI-O read the same file.`,
      'A [[registry]] for the same prefix in a file that comes later replaces this one: where there is one, the mirror belongs into that.',
      'A user who has ~/.config/containers/registries.conf reads that, and not /etc/containers/registries.conf.',
      'Where hubcap does not have an image, or does not answer, the registry itself is asked.',
    ],
  };
}

/** @returns the table of one registry, with its mirror */
export function registryText(url: URL, upstream: string): string {
  return `[[registry]]
location = ${quote(upstream)}

${mirrorText(url, upstream)}`;
}

/** @returns the table of the mirror alone */
export function mirrorText(url: URL, upstream: string): string {
  return `[[registry.mirror]]
location = ${quote(mirrorLocation(url, upstream))}
${isPlainHttp(url) ? 'insecure = true\n' : ''}`;
}

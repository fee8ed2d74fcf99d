/** Owns what containerd needs, and the `hosts.toml` that Docker reads too. Pure. */
import { listHosts, quote, upstreamOrigin } from '../mirror-address.ts';
import type { ClientSnippet, SnippetFile, SnippetWish } from '../snippet.ts';

export const CONTAINERD_CONFIG = '/etc/containerd/config.toml';
export const CONTAINERD_HOSTS = '/etc/containerd/certs.d';

/** @returns a `config.toml` in version 2, which containerd 1.5 and later understand, 2.x too; 3 is for 2.x alone */
export function configText(): string {
  return `version = 2

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = ${quote(CONTAINERD_HOSTS)}
`;
}

export function containerdSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  return {
    client: 'containerd',
    title: 'containerd',
    files: [
      ...hostsFiles(CONTAINERD_HOSTS, { url, upstreams }),
      { path: CONTAINERD_CONFIG, language: 'toml', text: configText() },
    ],
    reload: 'systemctl restart containerd',
    notes: [
      `Mirrored: ${listHosts(upstreams)}. containerd names the registry in each request, so one hubcap serves them all.`,
      'Only config_path needs a restart; hosts.toml files are read at each pull.',
      "In a config.toml of version 3 the table is [plugins.'io.containerd.cri.v1.images'.registry]. The older registry.mirrors tables cannot stand beside config_path.",
      `Kubernetes and nerdctl use this as it is; ctr does with --hosts-dir ${CONTAINERD_HOSTS}.`,
      'Where hubcap does not answer, containerd asks the registry itself.',
    ],
  };
}

/** @returns one file per upstream, below the directory */
export function hostsFiles(directory: string, { url, upstreams }: SnippetWish): SnippetFile[] {
  return upstreams.map((upstream) => ({
    path: `${directory}/${upstream}/hosts.toml`,
    language: 'toml',
    text: hostsText(url, upstream),
  }));
}

/** Other capabilities, such as `referrers`, make an older containerd refuse the file. */
export const CAPABILITIES = 'capabilities = ["pull", "resolve"]';

/** @returns a `hosts.toml`: the mirror first, then the registry itself (containerd, docs/hosts.md) */
export function hostsText(url: URL, upstream: string): string {
  return `server = ${quote(upstreamOrigin(upstream))}

[host.${quote(url.origin)}]
  ${CAPABILITIES}
`;
}

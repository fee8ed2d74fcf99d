/** Owns what k3s and RKE2 need. Pure. */
import { listHosts, quote } from '../mirror-address.ts';
import type { ClientSnippet, SnippetWish } from '../snippet.ts';

export const K3S_REGISTRIES = '/etc/rancher/k3s/registries.yaml';
export const RKE2_REGISTRIES = '/etc/rancher/rke2/registries.yaml';

export function k3sSnippet({ url, upstreams }: SnippetWish): ClientSnippet {
  return {
    client: 'k3s',
    title: 'k3s and RKE2',
    files: [
      {
        path: K3S_REGISTRIES,
        language: 'yaml',
        text: `mirrors:\n${upstreams.map((upstream) => hostText(url, upstream)).join('')}`,
      },
    ],
    reload: 'systemctl restart k3s',
    notes: [
      `Mirrored: ${listHosts(upstreams)}. The containerd of k3s names the registry in each request, so one hubcap serves them all.`,
      'Every node needs the file and the restart; on an agent the service is k3s-agent.',
      `RKE2 reads ${RKE2_REGISTRIES}; its services are rke2-server and rke2-agent.`,
      'The registry itself is asked last, unless the node runs with --disable-default-registry-endpoint.',
    ],
  };
}

/** k3s puts `/v2` behind an endpoint without a path; one with a path it takes as it is, `/v2` included. */
export function hostText(url: URL, upstream: string): string {
  return `  ${quote(upstream)}:\n    endpoint:\n      - ${quote(url.origin)}\n`;
}

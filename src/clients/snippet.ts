/** Owns what a client needs so that it pulls through hubcap, as text to copy. Pure: the page in the browser uses it too. */
import { buildkitSnippet } from './snippets/buildkit.ts';
import { containerdSnippet } from './snippets/containerd.ts';
import { dockerSnippet } from './snippets/docker.ts';
import { k3sSnippet } from './snippets/k3s.ts';
import { kanikoSnippet } from './snippets/kaniko.ts';
import { crioSnippet, podmanSnippet } from './snippets/podman.ts';

export const clientNames = ['docker', 'containerd', 'podman', 'buildkit', 'k3s', 'crio', 'kaniko'] as const;
export type ClientName = (typeof clientNames)[number];

/** What goes where. */
export interface SnippetFile {
  /** absolute; undefined where it is no file: flags, or a command */
  path: string | undefined;
  language: 'json' | 'toml' | 'yaml' | 'shell';
  /** the whole text where nothing else is there yet */
  text: string;
}

/** All that one client needs. */
export interface ClientSnippet {
  client: ClientName;
  /** `Docker` */
  title: string;
  files: SnippetFile[];
  /** how the client takes it up: a shell command, or a sentence where there is none */
  reload: string;
  /** what its user must know: what is mirrored and what is not */
  notes: string[];
}

/** What a snippet is made for. */
export interface SnippetWish {
  /** where clients reach hubcap: origin alone */
  url: URL;
  /** hosts that hubcap mirrors, the default first: `docker.io`, `ghcr.io` */
  upstreams: readonly string[];
}

/** @returns what the client needs, for all of the upstreams that it can mirror */
export function snippetFor(client: ClientName, wish: SnippetWish): ClientSnippet {
  return SNIPPETS[client](wish);
}

const SNIPPETS: Readonly<Record<ClientName, (wish: SnippetWish) => ClientSnippet>> = {
  docker: dockerSnippet,
  containerd: containerdSnippet,
  podman: podmanSnippet,
  buildkit: buildkitSnippet,
  k3s: k3sSnippet,
  crio: crioSnippet,
  kaniko: kanikoSnippet,
};

/** Owns a pull as dockerd makes it: what the tag is, the manifests by digest, then blobs, three at a time. */
import { createHash } from 'node:crypto';
import { accept, fetchManifest } from './manifest.ts';
import { read } from './readers.ts';

export interface Pull {
  /** of the registry or mirror */
  url: string;
  repository: string;
  tag: string;
  /** dockerd's `max-concurrent-downloads`, unless given */
  atOnce?: number;
}

const ARCHITECTURE = 'amd64';
const DOCKERD_DOWNLOADS = 3;

interface Descriptor {
  digest: string;
  platform?: { architecture?: string };
}

/** As much of a manifest or an index as a pull looks at. */
interface Document {
  manifests?: Descriptor[];
  config?: Descriptor;
  layers?: Descriptor[];
}

/**
 * Pulls an image for amd64 and throws it away.
 * @returns the seconds that it took, checking the digests of everything included
 * @throws where anything is not what its digest says
 */
export async function pull({
  url,
  repository,
  tag,
  atOnce = DOCKERD_DOWNLOADS,
}: Pull): Promise<{ seconds: number }> {
  const startedAt = performance.now();
  const base = `${url}/v2/${repository}`;
  const top = await fetchDocument(base, await resolveTag(base, tag));
  const { config, layers = [] } = await selectPlatform(base, top);
  if (!config) throw new Error('not an image', { cause: base });
  const left = [...new Set([config, ...layers].map(({ digest }) => digest))];
  const download = async (): Promise<void> => {
    for (let digest = left.shift(); digest !== undefined; digest = left.shift()) {
      await read(`${base}/blobs/${digest}`, { digest });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, download));
  return { seconds: (performance.now() - startedAt) / 1000 };
}

async function resolveTag(base: string, tag: string): Promise<string> {
  const response = await fetch(`${base}/manifests/${tag}`, { method: 'HEAD', headers: { accept } });
  const digest = response.headers.get('docker-content-digest');
  if (response.status !== 200 || digest === null) throw new Error(`status ${response.status}`);
  return digest;
}

async function selectPlatform(base: string, top: Document): Promise<Document> {
  if (!top.manifests) return top;
  const chosen = top.manifests.find(({ platform }) => platform?.architecture === ARCHITECTURE);
  if (!chosen) throw new Error(`nothing for ${ARCHITECTURE}`, { cause: top });
  return await fetchDocument(base, chosen.digest);
}

async function fetchDocument(base: string, digest: string): Promise<Document> {
  const { body } = await fetchManifest(`${base}/manifests/${digest}`);
  const found = `sha256:${createHash('sha256').update(body).digest('hex')}`;
  if (found !== digest) throw new Error('wrong content', { cause: { wanted: digest, found } });
  return JSON.parse(body.toString()) as Document;
}

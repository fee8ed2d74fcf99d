/** Owns the asking for a manifest as container engines do it. */

/** What containerd sends: without the index types a registry may convert what it answers. */
export const accept = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  '*/*',
].join(', ');

export interface Fetched {
  body: Buffer;
  digest: string | null;
}

/** @throws where the answer is not 200 */
export async function fetchManifest(url: string): Promise<Fetched> {
  const response = await fetch(url, { headers: { accept } });
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`status ${response.status}`, { cause: body.toString() });
  return { body, digest: response.headers.get('docker-content-digest') };
}

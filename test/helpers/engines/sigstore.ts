/** Owns signatures as cosign attaches them: a manifest under the tag `sha256-<hex>.sig`. */

import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Push } from './push.ts';

export interface Signer {
  /** Signs a manifest of a repository and pushes the signature beside it. Returns its tag. */
  attach(push: Push, digest: string): Promise<string>;
  /** Whether what skopeo has copied to `dir:` is this signer's signature of a manifest. */
  isSigned(directory: string, digest: string): Promise<boolean>;
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json';
const annotation = 'dev.cosignproject.cosign/signature';

/** Debian builds skopeo and podman without sigstore: what they would check is checked here. */
export function makeSigner(): Signer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    async attach(push, digest) {
      const image = { 'docker-manifest-digest': digest };
      const critical = { type: 'cosign container image signature', image };
      const payload = encode({ critical, optional: null });
      const layer = await push.blob(payload, payloadType);
      const signature = sign('sha256', payload, privateKey).toString('base64');
      const rootfs = { type: 'layers', diff_ids: [layer.digest] };
      const config = await push.blob(
        encode({ architecture: '', os: '', rootfs }),
        'application/vnd.oci.image.config.v1+json',
      );
      const layers = [{ ...layer, annotations: { [annotation]: signature } }];
      const manifest = encode({ schemaVersion: 2, mediaType: manifestType, config, layers });
      const tag = `${digest.replace(':', '-')}.sig`;
      await push.manifest(manifest, manifestType, tag);
      return tag;
    },
    async isSigned(directory, digest) {
      const { layers } = JSON.parse(await readFile(join(directory, 'manifest.json'), 'utf8'));
      const payload = await readFile(join(directory, layers[0].digest.slice('sha256:'.length)));
      const signature = Buffer.from(layers[0].annotations[annotation], 'base64');
      const { critical } = JSON.parse(payload.toString());
      const isMeant = critical.image['docker-manifest-digest'] === digest;
      return isMeant && verify('sha256', payload, publicKey, signature);
    },
  };
}

function encode(document: object): Buffer {
  return Buffer.from(JSON.stringify(document));
}

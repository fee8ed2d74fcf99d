/** Owns asking a mirror and telling what came of it, whatever that is; nobody waits for longer than a limit. */
import { createHash } from 'node:crypto';
import { accept } from './manifest.ts';
import { attempt } from './resuming.ts';

export interface Answered {
  /** 0 where there was no answer in time */
  status: number;
  digest: string;
  seconds: number;
}

/** A little longer than what a client of a registry waits for the head of an answer (containerd: 30 s). */
export const PATIENCE_MS = 31_000;

export async function askManifest(url: string, patienceMs = PATIENCE_MS): Promise<Answered> {
  const startedAt = performance.now();
  const seconds = (): number => (performance.now() - startedAt) / 1000;
  try {
    const response = await fetch(url, { headers: { accept }, signal: AbortSignal.timeout(patienceMs) });
    const body = Buffer.from(await response.arrayBuffer());
    return { status: response.status, digest: digestOf(body), seconds: seconds() };
  } catch {
    return { status: 0, digest: '', seconds: seconds() }; // refused, broken off or too late: no answer
  }
}

export interface Pulled {
  /** a manifest and all of the layer came, complete as far as a client can tell before it looks at digests */
  isComplete: boolean;
  isRight: boolean;
  manifestStatus: number;
  /** 0 where it was not asked for */
  layerStatus: number;
  seconds: number;
}

/** The manifest of a tag and then one layer, as a client that gives up at the first refusal. */
export async function pullLayer(base: string, tag: string, layer: string): Promise<Pulled> {
  const manifest = await askManifest(`${base}/manifests/${tag}`);
  const failed = { isComplete: false, isRight: false, manifestStatus: manifest.status, layerStatus: 0 };
  if (manifest.status !== 200) return { ...failed, seconds: manifest.seconds };
  const hash = createHash('sha256');
  const made = await attempt(`${base}/blobs/${layer}`, { hash });
  const isComplete = made.status === 200 && made.isComplete;
  return {
    isComplete,
    isRight: isComplete && `sha256:${hash.digest('hex')}` === layer,
    manifestStatus: manifest.status,
    layerStatus: made.status,
    seconds: manifest.seconds + made.seconds,
  };
}

function digestOf(body: Buffer): string {
  return `sha256:${createHash('sha256').update(body).digest('hex')}`;
}

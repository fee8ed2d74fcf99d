/** Owns one request for a blob or the rest of it, whatever becomes of it; nothing is thrown but programming errors. */
import { createHash, type Hash } from 'node:crypto';
import { request } from 'node:http';

export interface Attempt {
  /** 0 where there was no answer */
  status: number;
  /** of the body */
  bytes: number;
  /** the whole answer came */
  isComplete: boolean;
  seconds: number;
}

export interface AttemptOptions {
  /** offset that is asked for */
  from?: number;
  /** gets the body */
  hash?: Hash;
  /** called for each piece; ends the attempt where it says so */
  isEnough?: (bytes: number) => boolean;
}

export function attempt(url: string, { from = 0, hash, isEnough }: AttemptOptions = {}): Promise<Attempt> {
  const startedAt = performance.now();
  const found: Attempt = { status: 0, bytes: 0, isComplete: false, seconds: 0 };
  return new Promise((resolve) => {
    const end = (): void => resolve({ ...found, seconds: (performance.now() - startedAt) / 1000 });
    const call = request(url, { agent: false, headers: from > 0 ? { range: `bytes=${from}-` } : {} });
    call.on('error', end);
    call.on('response', (response) => {
      found.status = response.statusCode ?? 0;
      response.on('data', (chunk: Buffer) => {
        found.bytes += chunk.length;
        hash?.update(chunk);
        if (isEnough?.(found.bytes)) response.destroy();
      });
      response.on('error', () => undefined); // told by `isComplete`
      response.on('close', () => {
        found.isComplete = response.complete;
        end();
      });
    });
    call.end();
  });
}

/** @returns whether a whole blob came in one answer, and whether it was the right one */
export async function attemptWhole(url: string, digest: string): Promise<Attempt & { isRight: boolean }> {
  const hash = createHash('sha256');
  const made = await attempt(url, { hash });
  const isRight = made.status === 200 && made.isComplete && `sha256:${hash.digest('hex')}` === digest;
  return { ...made, isRight };
}

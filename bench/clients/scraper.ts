/** Owns one GET whose answer is timed to its last byte and left as it came, encoded or not. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { buffer } from 'node:stream/consumers';

export interface Scraped {
  status: number;
  seconds: number;
  /** as it came down the connection */
  body: Buffer;
  type: string;
  encoding: string | undefined;
}

/** On a connection of its own; `fetch` would decompress what it is to measure. */
export async function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Scraped> {
  const startedAt = performance.now();
  const [response]: IncomingMessage[] = await once(
    get(url, { agent: false, headers: { ...headers } }),
    'response',
  );
  if (!response) throw new Error('no response', { cause: url });
  const body = await buffer(response);
  return {
    status: response.statusCode ?? 0,
    seconds: (performance.now() - startedAt) / 1000,
    body,
    type: response.headers['content-type'] ?? '',
    encoding: response.headers['content-encoding'],
  };
}

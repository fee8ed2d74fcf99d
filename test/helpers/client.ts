/** Owns what a client of hubcap does in tests: one request per connection, and all that came of it. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { OCI_INDEX, OCI_MANIFEST } from '../../src/oci/media-types.ts';
import { until } from './waiting.ts';

export interface Received {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  /** false where the connection ended before the body did */
  isComplete: boolean;
}

/** A response whose body may not be there yet. */
export interface Open {
  status: number;
  headers: IncomingHttpHeaders;
  /** bytes so far */
  readonly bytes: number;
  /** the body so far */
  readonly body: Buffer;
  /** Waits for so many bytes. */
  receive(bytes: number): Promise<void>;
  /** Stops reading; what is on its way fills the socket's buffers. */
  pause(): void;
  resume(): void;
  /** Leaves without a word. */
  leave(): void;
  /** when the response has ended, in whatever way */
  readonly ended: Promise<Received>;
}

export interface Ask {
  method?: string;
  headers?: Record<string, string>;
}

export const ANY_MANIFEST = { accept: [OCI_INDEX, OCI_MANIFEST].join(', ') };

/** Asks, and resolves when the head of the answer is there. */
export async function open(url: string, { method = 'GET', headers = {} }: Ask = {}): Promise<Open> {
  const { response, chunks } = await begin(url, method, headers);
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
  });
  response.on('error', () => undefined); // said by `isComplete`
  const head = { status: response.statusCode ?? 0, headers: response.headers };
  return {
    ...head,
    get bytes() {
      return bytes;
    },
    get body() {
      return Buffer.concat(chunks);
    },
    receive: (wanted) => until(`${wanted} bytes are received`, () => bytes >= wanted),
    pause: () => response.pause(),
    resume: () => response.resume(),
    leave: () => response.destroy(),
    ended: new Promise((resolve) => {
      response.on('close', () =>
        resolve({ ...head, body: Buffer.concat(chunks), isComplete: response.complete }),
      );
    }),
  };
}

/** Asks, and resolves when the answer has ended. */
export async function fetch(url: string, ask: Ask = {}): Promise<Received> {
  return await (await open(url, ask)).ended;
}

async function begin(
  url: string,
  method: string,
  headers: Record<string, string>,
): Promise<{ response: IncomingMessage; chunks: Buffer[] }> {
  const call = request(url, { method, headers, agent: false });
  call.end();
  call.on('error', () => undefined); // `once` below rejects with it
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  return { response, chunks: [] };
}

/** @returns the first error's code of an OCI error document, and its message */
export function ociErrorOf({ body }: Received): { code: string; message: string } {
  const document = JSON.parse(body.toString('utf8')) as { errors: { code: string; message: string }[] };
  return { code: document.errors[0]?.code ?? '', message: document.errors[0]?.message ?? '' };
}

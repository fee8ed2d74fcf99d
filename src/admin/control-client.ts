/** Owns asking a running daemon through its control socket. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { isTrustedControlPath } from './control-path.ts';
import type { ImageStatus, Status } from './status.ts';

/** What a command can ask, of a running daemon or of the data directory itself. */
export interface Control {
  status(): Promise<Status>;
  images(): AsyncIterable<ImageStatus>;
  close(): Promise<void>;
}

const DEADLINE_MS = 10_000;

/**
 * Finds the daemon that serves a data directory.
 * @param paths where its socket may be, see `controlPaths`
 * @returns undefined where nobody answers
 */
export async function connectControl(paths: readonly string[]): Promise<Control | undefined> {
  for (const path of paths) {
    if (!(await isTrustedControlPath(path))) continue;
    const client = new SocketControl(path);
    try {
      await client.status();
      return client;
    } catch (error) {
      if (!isNobodyThere(error)) throw error;
    }
  }
  return undefined;
}

class SocketControl implements Control {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async status(): Promise<Status> {
    const lines: string[] = [];
    for await (const line of this.#lines('/v1/status')) lines.push(line);
    return JSON.parse(lines.join('\n')) as Status;
  }

  async *images(): AsyncGenerator<ImageStatus> {
    for await (const line of this.#lines('/v1/images')) yield JSON.parse(line) as ImageStatus;
  }

  async close(): Promise<void> {
    // each question has a connection of its own
  }

  async *#lines(path: string): AsyncGenerator<string> {
    const response = await this.#get(path);
    if (response.statusCode !== 200) {
      response.destroy();
      throw new Error(`hubcap answers ${response.statusCode} on ${this.#path}: is it another version?`);
    }
    try {
      yield* createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    } catch (error) {
      throw new Error('hubcap ended its answer early: see its log', { cause: error });
    }
    if (!response.complete) throw new Error('hubcap ended its answer early: see its log');
  }

  #get(path: string): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const call = request({ socketPath: this.#path, path, agent: false, timeout: DEADLINE_MS }, resolve);
      call.on('timeout', () =>
        call.destroy(new Error(`hubcap does not answer on ${this.#path}: see its log`)),
      );
      call.on('error', reject);
      call.end();
    });
  }
}

function isNobodyThere(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(String(error.code));
}

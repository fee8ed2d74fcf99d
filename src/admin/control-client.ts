/** Owns asking a running daemon through its control socket. */
import { type IncomingMessage, request } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { AirgapServices, ExportedBundle } from '../airgap/airgap.ts';
import type {
  CarriedContent,
  ExportRequest,
  ImportEvent,
  ImportRequest,
  PinReport,
  PinRequest,
  PinStatus,
  PrewarmEvent,
  PrewarmRequest,
  RemoveReport,
  RemoveRequest,
  UnpinReport,
} from '../airgap/commands.ts';
import { RefusedError } from '../refused-error.ts';
import type { VerifyEvent } from '../store/verify.ts';
import { isTrustedControlPath } from './control-path.ts';
import { DaemonLostError } from './daemon-lost-error.ts';
import { readHeaded } from './headed-stream.ts';
import type { MissStatus } from './misses.ts';
import type { ImageStatus, OfflineState, ReloadReport, Status } from './status.ts';

/** What a command can ask, of a running daemon or of the data directory itself. */
export interface Control extends AirgapServices {
  status(): Promise<Status>;
  images(): AsyncIterable<ImageStatus>;
  /** @param reference undefined for the whole store. @throws RefusedError when it is read */
  verify(reference: string | undefined): AsyncIterable<VerifyEvent>;
  /** what clients asked for and could not be given, the last asked for first */
  misses(): AsyncIterable<MissStatus>;
  /** Empties that list. @returns how many lines it had */
  clearMisses(): Promise<number>;
  close(): Promise<void>;
}

/** What can be asked of a running daemon alone. */
export interface DaemonControl extends Control {
  /** Turns asking upstreams off or on, until the daemon ends. */
  offline(isOffline: boolean): Promise<OfflineState>;
  /** Has it read its configuration again. @throws RefusedError where that cannot be used */
  reload(): Promise<ReloadReport>;
}

const DEADLINE_MS = 10_000;
/** What changes something may take longer before its first word. */
const POST_DEADLINE_MS = 60_000;

/**
 * Finds the daemon that serves a data directory.
 * @param paths where its socket may be, see `controlPaths`
 * @returns undefined where nobody answers
 */
export async function connectControl(paths: readonly string[]): Promise<DaemonControl | undefined> {
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

class SocketControl implements DaemonControl {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async status(): Promise<Status> {
    return await this.#document<Status>('/v1/status');
  }

  async offline(isOffline: boolean): Promise<OfflineState> {
    return await this.#document<OfflineState>(`/v1/offline?state=${isOffline ? 'on' : 'off'}`, 'POST');
  }

  async reload(): Promise<ReloadReport> {
    return await this.#document<ReloadReport>('/v1/reload', 'POST');
  }

  async *images(): AsyncGenerator<ImageStatus> {
    for await (const line of this.#lines('/v1/images')) yield JSON.parse(line) as ImageStatus;
  }

  async *verify(reference: string | undefined): AsyncGenerator<VerifyEvent> {
    const query = reference === undefined ? '' : `?${new URLSearchParams({ reference })}`;
    for await (const line of this.#lines(`/v1/verify${query}`, 'POST')) yield JSON.parse(line) as VerifyEvent;
  }

  async *misses(): AsyncGenerator<MissStatus> {
    for await (const line of this.#lines('/v1/misses')) yield JSON.parse(line) as MissStatus;
  }

  async clearMisses(): Promise<number> {
    return (await this.#document<{ cleared: number }>('/v1/misses/clear', 'POST')).cleared;
  }

  async *prewarm(asked: PrewarmRequest): AsyncGenerator<PrewarmEvent> {
    yield* this.#items<PrewarmEvent>('/v1/prewarm', jsonBody(asked));
  }

  async *pins(): AsyncGenerator<PinStatus> {
    for await (const line of this.#lines('/v1/pins')) yield JSON.parse(line) as PinStatus;
  }

  async pin(asked: PinRequest): Promise<PinReport> {
    return await this.#document<PinReport>('/v1/pin', 'POST', jsonBody(asked));
  }

  async unpin(references: readonly string[]): Promise<UnpinReport> {
    return await this.#document<UnpinReport>('/v1/unpin', 'POST', jsonBody(references));
  }

  async remove(asked: RemoveRequest): Promise<RemoveReport> {
    return await this.#document<RemoveReport>('/v1/remove', 'POST', jsonBody(asked));
  }

  async export(asked: ExportRequest): Promise<ExportedBundle> {
    const response = await this.#answer('/v1/export', 'POST', jsonBody(asked));
    return await readHeaded(response);
  }

  async checkImport(contents: readonly CarriedContent[]): Promise<void> {
    await this.#document('/v1/import/check', 'POST', jsonBody(contents));
  }

  async *import(asked: ImportRequest, archive: AsyncIterable<Buffer>): AsyncGenerator<ImportEvent> {
    const query = new URLSearchParams({ request: JSON.stringify(asked) });
    yield* this.#items<ImportEvent>(`/v1/import?${query}`, archive);
  }

  async close(): Promise<void> {
    // each question has a connection of its own
  }

  async #document<T>(path: string, method: Method = 'GET', body?: Body): Promise<T> {
    const lines: string[] = [];
    for await (const line of this.#lines(path, method, body)) lines.push(line);
    return JSON.parse(lines.join('\n')) as T;
  }

  async *#items<T>(path: string, body: Body): AsyncGenerator<T> {
    for await (const line of this.#lines(path, 'POST', body)) yield JSON.parse(line) as T;
  }

  async *#lines(path: string, method: Method = 'GET', body?: Body): AsyncGenerator<string> {
    const response = await this.#answer(path, method, body);
    try {
      yield* createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    } catch (error) {
      throw new DaemonLostError(error);
    } finally {
      if (!response.complete) response.destroy(); // whoever reads has seen enough
    }
    if (!response.complete) throw new DaemonLostError();
  }

  /** @throws RefusedError where what is asked for is refused */
  async #answer(path: string, method: Method, body?: Body): Promise<IncomingMessage> {
    const response = await this.#ask(path, method, body);
    const { statusCode = 0 } = response;
    if (statusCode === 200) return response;
    if (method === 'POST' && (statusCode === 400 || statusCode === 404 || statusCode === 409)) {
      throw new RefusedError(statusCode, (await text(response)).trim());
    }
    response.destroy();
    throw new DaemonLostError(
      undefined,
      `hubcap answers ${statusCode} on ${this.#path}: see its log; is it another version?`,
    );
  }

  #ask(path: string, method: Method, body: Body = []): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const options = {
        socketPath: this.#path,
        path,
        method,
        agent: false,
        timeout: method === 'POST' ? POST_DEADLINE_MS : DEADLINE_MS,
      };
      const call = request(options, (response) => {
        // How long the work takes that was asked for is nobody's fault; it ends with the daemon or the command.
        if (method === 'POST') call.setTimeout(0);
        resolve(response);
      });
      call.on('timeout', () =>
        call.destroy(new DaemonLostError(undefined, `hubcap does not answer on ${this.#path}: see its log`)),
      );
      const fail = (error: unknown): void => reject(isCutOff(error) ? new DaemonLostError(error) : error);
      call.on('error', fail);
      // Where hubcap has answered before it has read all, what it says counts.
      pipeline(Readable.from(body), call).catch(fail);
    });
  }
}

type Method = 'GET' | 'POST';
type Body = Iterable<Buffer> | AsyncIterable<Buffer>;

function jsonBody(value: unknown): Buffer[] {
  return [Buffer.from(JSON.stringify(value))];
}

function isNobodyThere(error: unknown): boolean {
  return ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(codeOf(error));
}

/** It was there, and ended. */
function isCutOff(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(codeOf(error));
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

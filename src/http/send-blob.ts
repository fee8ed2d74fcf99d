/** Owns the copying of content to a client: reading the next part while the last one is on its way. */
import type { ServerResponse } from 'node:http';
import type { BlobReader } from '../store/blob-reader.ts';
import type { BufferPool } from './buffers.ts';

export interface SendOptions {
  buffers: BufferPool;
  /** whether the content is on its way from upstream */
  isArriving: boolean;
  /** a client that takes nothing for this long is let go */
  idleMs: number;
  onSent: (bytes: number) => void;
}

/** The client went away, or took nothing for too long. */
export class ClientGoneError extends Error {
  constructor(cause?: unknown) {
    super('the client is gone', { cause });
    this.name = 'ClientGoneError';
  }
}

/**
 * Sends bytes `start` to `end` (excluded; undefined: to the end of the content) and ends the response.
 * @throws ClientGoneError; what the reader throws: the response is then incomplete and must be destroyed
 */
export async function sendBlob(
  response: ServerResponse,
  reader: BlobReader,
  { start, end }: { start: number; end: number | undefined },
  { buffers, isArriving, idleMs, onSent }: SendOptions,
): Promise<void> {
  let filling = buffers.lease(isArriving);
  let draining = buffers.lease(isArriving);
  const { socket } = response;
  socket?.setTimeout(0); // waiting for upstream is not the client's fault
  let position = start;
  let sending: Promise<void> = Promise.resolve();
  try {
    while (end === undefined || position < end) {
      const wanted = end === undefined ? filling : filling.subarray(0, end - position);
      const bytes = await reader.read(wanted, position);
      await sending; // the other buffer is free again, and so is the client's place in line
      if (bytes === 0) break;
      position += bytes;
      socket?.setTimeout(idleMs);
      sending = write(response, wanted.subarray(0, bytes)).then(() => {
        socket?.setTimeout(0);
        onSent(bytes);
      });
      sending.catch(() => undefined); // awaited in the next turn
      [filling, draining] = [draining, filling];
    }
    await sending;
    if (end !== undefined && position < end) throw new Error(`content ended ${end - position} bytes early`);
    socket?.setTimeout(idleMs);
    response.end();
  } finally {
    await sending.catch(() => undefined); // thrown already, or about to be; a buffer is not free before
    buffers.giveBack(filling);
    buffers.giveBack(draining);
  }
}

/** The callback of a write does not always come when the connection is destroyed under it: 'close' does. */
function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(new ClientGoneError());
    if (response.destroyed) return leave();
    response.once('close', leave);
    response.write(chunk, (error) => {
      response.off('close', leave);
      if (error) reject(new ClientGoneError(error));
      else resolve();
    });
  });
}

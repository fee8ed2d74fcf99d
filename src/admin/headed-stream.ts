/** Owns reading an answer that is a line of JSON and then bytes. */
import type { IncomingMessage } from 'node:http';
import type { ExportedBundle } from '../airgap/airgap.ts';
import type { ExportPlan } from '../airgap/commands.ts';
import { DaemonLostError } from './daemon-lost-error.ts';

/** The line says what is in a bundle: some hundred bytes an image. */
const MAX_HEAD_BYTES = 64 * 1024 * 1024;
const NEWLINE = 0x0a;

/** @throws DaemonLostError where the answer ends early */
export async function readHeaded(response: IncomingMessage): Promise<ExportedBundle> {
  const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const head: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const { value, done } = await chunks.next();
    if (done || bytes > MAX_HEAD_BYTES) throw new DaemonLostError();
    const end = value.indexOf(NEWLINE);
    head.push(end < 0 ? value : value.subarray(0, end));
    bytes += value.length;
    if (end < 0) continue;
    const plan = JSON.parse(Buffer.concat(head).toString('utf8')) as ExportPlan;
    return { plan, bundle: rest(response, chunks, value.subarray(end + 1)) };
  }
}

async function* rest(
  response: IncomingMessage,
  chunks: AsyncIterator<Buffer>,
  first: Buffer,
): AsyncGenerator<Buffer> {
  try {
    if (first.length > 0) yield first;
    for (;;) {
      const { value, done } = await chunks.next();
      if (done) break;
      yield value;
    }
  } catch (error) {
    throw new DaemonLostError(error);
  } finally {
    if (!response.complete) response.destroy();
  }
  if (!response.complete) throw new DaemonLostError();
}

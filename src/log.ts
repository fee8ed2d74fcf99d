/** Owns the making of the logger: JSON lines for machines, text for a terminal; secrets never. */
import { setTimeout as wait } from 'node:timers/promises';
import pino, { type DestinationStream, type Logger } from 'pino';

export type { Logger } from 'pino';

export interface LogOptions {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error';
  format: 'json' | 'text';
}

/** A second line of defence: nothing puts these into a log line. */
const REDACTED = ['authorization', 'password', 'token', 'secret', 'credentials'].flatMap((key) => [
  key,
  `*.${key}`,
]);

/**
 * @returns the logger, and what writes out its buffer: JSON lines are written in blocks, at the latest after
 *   a second, because a write per request costs more than a cached manifest does
 */
export async function createLogger({
  level,
  format,
}: LogOptions): Promise<{ log: Logger; flush: () => Promise<void> }> {
  const destination = format === 'text' ? await readableStdout() : bufferedStdout();
  const options = {
    level,
    base: null,
    redact: { paths: REDACTED, censor: '***' },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { error: (error: unknown) => describeError(error) },
  };
  return { log: pino(options, destination.stream), flush: destination.flush };
}

/** @returns a logger that says nothing: a command tells what it finds itself */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}

interface Destination {
  stream: DestinationStream;
  flush: () => Promise<void>;
}

/** Only a terminal needs it: it is loaded only there. */
async function readableStdout(): Promise<Destination> {
  const { default: pretty } = await import('pino-pretty');
  const options = { sync: true, singleLine: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' };
  return { stream: pretty(options), flush: async () => undefined };
}

function bufferedStdout(): Destination {
  const stream = pino.destination({
    dest: 1,
    sync: false,
    minLength: 8 * 1024,
    maxWrite: 64 * 1024,
    periodicFlush: 1000,
    maxLength: MAX_BUFFERED_BYTES,
  });
  // The reader of a pipe may go away; there is nobody left to tell.
  stream.on('error', () => undefined);
  const flush = async (): Promise<void> => {
    const flushed = new Promise<void>((resolve) => stream.flush(() => resolve()));
    await Promise.race([flushed, wait(FLUSH_DEADLINE_MS, undefined, { ref: false })]);
  };
  return { stream, flush };
}

/** A reader that stands still must not keep hubcap from stopping. */
const FLUSH_DEADLINE_MS = 2_000;
const MAX_CAUSES = 5;
/** Nor take its memory: it loses lines. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** An error for a log line: its name, message and code, and those of its causes; a stack for our own faults alone. */
export function describeError(error: unknown, depth = 0): Record<string, unknown> | string {
  if (!(error instanceof Error)) return String(error);
  const { name, message } = error;
  const isFault =
    ['TypeError', 'ReferenceError', 'RangeError', 'AssertionError', 'Error'].includes(name) &&
    !('code' in error);
  return {
    name,
    message,
    ...('code' in error && { code: error.code }),
    ...('reason' in error && typeof error.reason === 'string' && { reason: error.reason }),
    ...(isFault && { stack: error.stack }),
    ...(error.cause !== undefined && depth < MAX_CAUSES && { cause: describeError(error.cause, depth + 1) }),
  };
}

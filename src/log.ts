/** Owns the making of the logger: JSON lines for machines, text for a terminal; secrets never. */
import pino, { type DestinationStream, type Logger } from 'pino';
import pretty from 'pino-pretty';

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
export function createLogger({ level, format }: LogOptions): { log: Logger; flush: () => void } {
  const destination =
    format === 'text'
      ? {
          stream: pretty({
            sync: true,
            singleLine: true,
            ignore: 'pid,hostname',
            translateTime: 'SYS:HH:MM:ss.l',
          }),
          flush: () => undefined,
        }
      : bufferedStdout();
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

function bufferedStdout(): { stream: DestinationStream; flush: () => void } {
  const stream = pino.destination({
    dest: 1,
    sync: false,
    minLength: 8 * 1024,
    maxWrite: 64 * 1024,
    periodicFlush: 1000,
  });
  // The reader of a pipe may go away; there is nobody left to tell.
  stream.on('error', () => undefined);
  return { stream, flush: () => stream.flushSync() };
}

const MAX_CAUSES = 5;

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

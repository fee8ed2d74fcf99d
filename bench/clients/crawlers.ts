/** Owns readers that crawl: they take a little, and then nothing for a while. */
import { connect, type Socket } from 'node:net';

export interface Crawlers {
  /** bytes that they took so far, together */
  bytes(): number;
  leave(): void;
}

const PIECE_BYTES = 16 * 1024;

/** Each opens a connection and reads `bytesPerSecond` of the answer. Resolves when all have the head. */
export async function startCrawlers(url: string, count: number, bytesPerSecond: number): Promise<Crawlers> {
  const { hostname, port, host, pathname } = new URL(url);
  let bytes = 0;
  const sockets: Socket[] = [];
  const begin = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect({
      host: hostname,
      port: Number(port),
      onread: {
        buffer: Buffer.allocUnsafeSlow(PIECE_BYTES),
        callback: (length) => {
          resolve();
          bytes += length;
          setTimeout(() => socket.resume(), (1000 * length) / bytesPerSecond).unref();
          return false; // until it is resumed
        },
      },
    });
    sockets.push(socket);
    socket.on('error', () => undefined); // a server may let go who takes too long
    socket.on('close', () => resolve());
    socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    return promise;
  };
  await Promise.all(Array.from({ length: count }, begin));
  return {
    bytes: () => bytes,
    leave: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Owns HTTP by hand: bytes that no HTTP client would send, and all that comes back. */
import { connect } from 'node:net';

/**
 * Sends bytes as they are, and resolves with all that came until the server ended the connection.
 * @param then sent when at least `after` bytes have come
 */
export async function exchangeRaw(
  url: string,
  sent: string | Buffer,
  then?: { after: number; sent: string },
): Promise<Buffer> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  let isWaiting = then !== undefined;
  socket.on('error', () => undefined); // a server may reset what it refuses
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (!isWaiting || !then || bytes < then.after) return;
    isWaiting = false;
    socket.write(then.sent);
  });
  socket.write(sent);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks);
}

/** @returns status, head and body of one answer */
export function parseAnswer(received: Buffer): { status: number; head: string; body: string } {
  const text = received.toString('latin1');
  const [head = '', ...rest] = text.split('\r\n\r\n');
  return { status: Number(head.match(/^HTTP\/1\.1 (\d{3})/)?.[1]), head, body: rest.join('\r\n\r\n') };
}

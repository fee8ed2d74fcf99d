/** Owns addresses for programs that cannot tell which port they got. */

import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * A free port of a loopback address that is this process's own: no connection's local port can take it before the program
 * does.
 */
export async function findFreeAddress(): Promise<string> {
  const host = `127.78.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port', { cause: address });
  return `${host}:${address.port}`;
}

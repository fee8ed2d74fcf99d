import { once } from 'node:events';
import { createServer, get, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { BufferPool } from '../../src/http/buffers.ts';
import { ClientGoneError, sendBlob } from '../../src/http/send-blob.ts';
import type { BlobReader } from '../../src/store/blob-reader.ts';

const SIZE = 3_000_000;

/** Content without a disk: every byte is the low byte of its position. */
const reader: BlobReader = {
  size: SIZE,
  read: async (buffer, position) => {
    const length = Math.min(buffer.length, SIZE - position);
    for (let at = 0; at < length; at++) buffer[at] = (position + at) & 0xff;
    return length;
  },
  close: () => undefined,
};

async function answerWith(t: Test, how: (response: ServerResponse) => void) {
  const server = createServer((_, response) => how(response)).listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' }).on(
    'error',
    () => undefined,
  );
}

t.test('a connection that is destroyed just before a write ends the sending', async (t) => {
  const sent = new Promise<unknown>((resolve) => {
    answerWith(t, (response) => {
      response.writeHead(200, { 'content-length': SIZE });
      // Node throws such a write away, and its callback with it: nobody has been told yet that the client is gone.
      response.socket?.destroy();
      t.equal(response.destroyed, false, 'the response does not know');
      const options = { buffers: new BufferPool(), isArriving: false, idleMs: 1000, onSent: () => undefined };
      sendBlob(response, reader, { start: 0, end: SIZE }, options).then(resolve, resolve);
    });
  });
  t.ok((await sent) instanceof ClientGoneError);
});

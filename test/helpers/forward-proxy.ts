/** Owns a small forward proxy for tests: absolute URLs and CONNECT; remembers whom it was asked for. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { Test } from 'tap';

export interface ForwardProxy {
  readonly url: string;
  /** `host:port` of every request and tunnel, in order */
  readonly asked: readonly string[];
}

export async function startForwardProxy(t: Test): Promise<ForwardProxy> {
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    const target = new URL(incoming.url ?? '/', 'http://not.absolute');
    asked.push(target.host);
    const { method, headers } = incoming;
    const outgoing = request(target, { method, headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    incoming.pipe(outgoing);
  });
  server.on('connect', (incoming, socket) => {
    asked.push(incoming.url ?? '');
    const { hostname, port } = new URL(`http://${incoming.url}`);
    const tunnel = connect(Number(port || 80), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      tunnel.pipe(socket).pipe(tunnel);
    });
    tunnel.on('error', () => socket.destroy());
    socket.on('error', () => tunnel.destroy());
    t.teardown(() => tunnel.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

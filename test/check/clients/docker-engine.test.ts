import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { compareMirrors, runningMirrors } from '../../../src/check/clients/docker-engine.ts';
import { makeDirectory } from '../../helpers/engines/needs.ts';

t.test('the mirrors of the Docker that runs are asked of it, and compared with the file', async (t) => {
  const socket = join(await makeDirectory(t, 'check'), 'docker.sock');
  const server = createServer((request, response) => {
    const info = { RegistryConfig: { Mirrors: ['http://127.0.0.1:5000/'] } };
    response.writeHead(request.url === '/info' ? 200 : 404).end(JSON.stringify(info));
  });
  server.listen(socket);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const running = await runningMirrors(socket, AbortSignal.timeout(5_000));
  t.same(running, ['http://127.0.0.1:5000/']);
  t.same(compareMirrors(['http://127.0.0.1:5000'], running ?? []), [], 'a slash makes no difference');
  t.match(compareMirrors(['http://127.0.0.1:6000'], running ?? []), [
    { id: 'docker.not-reloaded', status: 'warning', remedy: /systemctl reload docker/ },
  ]);
  t.match(compareMirrors(['http://127.0.0.1:6000'], []), [{ message: /uses no mirror/ }]);
});

t.test('where no Docker runs nothing is said of it', async (t) => {
  t.equal(
    await runningMirrors(join(await makeDirectory(t, 'check'), 'away'), AbortSignal.timeout(5_000)),
    undefined,
  );
});

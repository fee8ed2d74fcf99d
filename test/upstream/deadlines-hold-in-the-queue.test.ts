import { once } from 'node:events';
import t from 'tap';
import { upstreamDefaults } from '../../src/config/presets.ts';
import { UpstreamError } from '../../src/upstream/errors.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { destroyBody, readSmall, Transport } from '../../src/upstream/transport.ts';
import { until } from '../helpers/waiting.ts';
import { failureOf, serve } from './registry.ts';

t.test('a question that waits for a connection is given up when its asker is', async (t) => {
  const { url, seen } = await serve(t, ({ path }, response) => {
    if (path !== '/stalled') return response.end('answered');
    response.writeHead(200, { 'content-length': 1000 });
    return response.write('the beginning');
  });
  const transport = new Transport({
    connections: 1,
    connectMs: 10_000,
    headersMs: 10_000,
    idleMs: 60_000,
    proxy: {},
    own: url,
    tls: upstreamDefaults.tls,
    offline: new OfflineSwitch(false),
  });
  t.teardown(() => transport.close());
  const send = (path: string, signal: AbortSignal) =>
    transport.send({ method: 'GET', url: new URL(path, url), headers: {}, signal, lane: 'blob' });
  const never = new AbortController().signal;

  const stalled = await send('/stalled', never);
  t.equal(stalled.status, 200);
  const [late, gone] = [AbortSignal.timeout(200), new AbortController()];
  const waiting = [failureOf(send('/late', late)), failureOf(send('/gone', gone.signal))];
  gone.abort(new Error('left'));
  if (!late.aborted) await once(late, 'abort');
  let given = 0;
  for (const one of waiting) one.then(() => given++);
  await until('both are given up', () => given === 2);
  const [timeout, left] = await Promise.all(waiting);
  t.ok(timeout instanceof UpstreamError && left instanceof UpstreamError);
  t.match(timeout, { reason: 'timeout' });
  const early = await failureOf(send('/early', AbortSignal.abort(new Error('left before'))));
  t.ok(early instanceof UpstreamError, 'and one that nobody waits for from the start');

  destroyBody(stalled);
  const next = await send('/next', never);
  t.equal(
    (await readSmall(next, url.host, 100)).toString(),
    'answered',
    'the connection goes to who is left',
  );
  t.same(
    seen.map(({ path }) => path),
    ['/stalled', '/next'],
    'upstream never sees what nobody waits for',
  );
});

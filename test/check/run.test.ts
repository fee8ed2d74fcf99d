import { join } from 'node:path';
import t from 'tap';
import { runChecks } from '../../src/check/run.ts';
import { loadFrom } from '../config/load-from.ts';
import { makeDirectory } from '../helpers/engines/needs.ts';
import { startPersonaServer } from '../helpers/persona-server.ts';
import { silent } from '../helpers/personas.ts';

t.test('all of it ends in its time, and says what was not looked at to the end', async (t) => {
  const gate = Promise.withResolvers<void>();
  t.teardown(() => gate.resolve());
  const [quiet, well] = await Promise.all([
    startPersonaServer(t, () => ({ status: 200 })),
    startPersonaServer(t, () => ({ status: 200 })),
  ]);
  quiet.act(silent(gate.promise));
  const directory = await makeDirectory(t, 'check');
  const yaml = JSON.stringify({
    storage: { directory: join(directory, 'data') },
    upstreams: { 'docker.io': { url: quiet.url }, 'ghcr.io': { url: well.url } },
  });
  const request = {
    config: { config: loadFrom(directory, { yaml }), file: undefined },
    ...{ version: '0', root: directory, home: undefined, uid: undefined, images: new Map() },
    ...{ parts: { hubcap: false, upstreams: true, clients: false }, dockerSocket: join(directory, 'away') },
  };
  const findings = await runChecks({ ...request, signal: new AbortController().signal, totalMs: 1_000 });
  t.match(
    findings.map(({ id, status, message }) => [id, status, message]),
    [
      ['configuration', 'ok'],
      ['clock', 'ok'],
      ['upstreams.unfinished', 'failed', new RegExp(`docker\\.io \\(${quiet.host}\\).*no answer within 1 s`)],
      ['upstream.connection', 'ok', /ghcr\.io/],
      ['upstream.registry', 'ok'],
    ],
  );
  const interrupted = runChecks({ ...request, signal: AbortSignal.abort(new Error('enough')) });
  await t.rejects(interrupted, { message: 'enough' }, 'who has enough is not kept');
});

/** A daemon that ends or fails while a command asks it: a message that says so, and no stack. */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { APP, inside, type Side } from '../helpers/air-gap.ts';
import { run, runWith } from '../helpers/command.ts';
import { MIB } from '../helpers/content.ts';

t.test('killed before its first word', async (t) => {
  const side = await startBroken(t, ({ socket }) => socket.destroy());
  const input = Buffer.alloc(4 * MIB);
  const said = /^hubcap: hubcap ended its answer early: .*; the command can be given again\n$/;
  for (const command of [
    ['pin', APP],
    ['remove', APP],
    ['prewarm', APP],
    ['offline', 'on'],
  ])
    t.match(await run(...command, ...side.flags), { code: 1, stdout: '', stderr: said }, command.join(' '));
  t.match(await runWith({ input }, 'import', '-', ...side.flags), { code: 1, stdout: '', stderr: said });
});

t.test('an answer that is none', async (t) => {
  const side = await startBroken(t, (_, response) => response.writeHead(500).end());
  t.match(await run('pin', APP, ...side.flags), {
    code: 1,
    stderr: /^hubcap: hubcap answers 500 .*version\?\n$/,
  });
});

/** Says its status, and does to everything else what it is told. */
async function startBroken(t: Test, answer: RequestListener): Promise<Side> {
  const side = await inside(t);
  await mkdir(side.data);
  const server = createServer((request, response) => {
    if (request.url === '/v1/status') response.end(JSON.stringify({ store: { maxBytes: MIB } }));
    else answer(request, response);
  }).listen(join(side.data, 'control.sock'));
  await once(server, 'listening');
  t.teardown(() => server.close());
  return side;
}

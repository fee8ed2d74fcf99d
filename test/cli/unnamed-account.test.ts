/** Containers are run by numbers that no account has (OpenShift, `docker run --user`). */
import { chmod, chown } from 'node:fs/promises';
import t from 'tap';
import { main } from '../helpers/engines/hubcap.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';

const nobodys = ['--reuid=123456', '--regid=0', '--clear-groups', '--'];

t.test('a user without an account and without HOME may run it', async (t) => {
  if (!needs(t, 'root', 'setpriv')) return;
  const directory = await makeDirectory(t, 'unnamed');
  await chown(directory, 123456, 0);
  await chmod(directory, 0o700);
  // What tap has each node load writes files that are not this user's to write.
  const asNobody = (...command: string[]) =>
    runProgram(t, 'env', ['--unset=NODE_OPTIONS', 'setpriv', ...nobodys, process.execPath, ...command]);
  if ((await asNobody('--check', main)).code !== 0) {
    t.plan(0, 'the sources are hidden from other users; test/deploy/image.test.ts shows it too');
    return;
  }
  const shown = await asNobody(main, 'serve', '--print-config');
  t.equal(shown.code, 0, shown.stderr);
  t.match(shown.stdout, '/var/cache/hubcap', 'as a service has it');
  const asked = await asNobody(main, 'status', '--data', directory);
  t.notMatch(asked.stderr, /SystemError/);
});

/** Where `hubcap check` says that podman and its like pull nothing, a real skopeo refuses the file; else it reads it. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inspectRegistriesConf } from '../../src/check/clients/registries-conf.ts';
import { registriesConfCases } from '../check/clients/registries-conf-table.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';

t.test('skopeo refuses what check says it refuses, and nothing else', async (t) => {
  if (!needs(t, 'skopeo')) return;
  const directory = await makeDirectory(t, 'check-podman');
  const file = join(directory, 'registries.conf');
  for (const { text } of registriesConfCases) {
    const { findings } = inspectRegistriesConf({ path: file, text }, false);
    await writeFile(file, text);
    // Nobody listens there: a file that is read leads to a refused connection.
    const skopeo = await runProgram(
      t,
      'skopeo',
      ['--registries-conf', file, 'inspect', 'docker://127.0.0.1:9/x:y'],
      {
        env: { HOME: directory, XDG_RUNTIME_DIR: directory },
      },
    );
    t.not(skopeo.code, 0);
    const isRefused = /loading registries configuration/.test(skopeo.stderr);
    t.equal(
      findings.some(({ message }) => /pull nothing/.test(message)),
      isRefused,
      text,
      { skopeo: skopeo.stderr },
    );
    t.equal(isRefused, !/connection refused/.test(skopeo.stderr), 'it says one of the two');
  }
});

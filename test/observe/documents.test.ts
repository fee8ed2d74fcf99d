import { readFileSync } from 'node:fs';
import t from 'tap';
import { fetch } from '../helpers/client.ts';
import { startMirror } from '../helpers/mirror.ts';
import { documentedNames, METRICS_PAGE, metricsPage } from './metrics-document.ts';

t.test('the list of metrics is current', async (t) => {
  t.equal(
    readFileSync(METRICS_PAGE, 'utf8'),
    await metricsPage(),
    'node test/observe/metrics-document.ts writes it',
  );
});

t.test('a running hubcap tells these metrics and no others', async (t) => {
  const at = new URL('http://127.0.0.1:9');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at } } });
  const page = (await fetch(`${mirror.admin}/metrics`)).body.toString();
  const families = [...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '']) => name);
  t.same(families.sort(), documentedNames().sort());
  for (const [, name, help = ''] of page.matchAll(/^# HELP (\S+) (.*)$/gm))
    t.match(help, /^[A-Z0-9].{10,}\.$|^[A-Z].+$/, `${name} has a help text`);
});

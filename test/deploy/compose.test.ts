/** The Compose file of deploy/ is taken by Compose, is careful, and all that it names is there and agrees. */

import { existsSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import t from 'tap';
import { parse } from 'yaml';
import { fetch } from '../helpers/client.ts';
import { startHubcap } from '../helpers/engines/hubcap.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram, startProgram } from '../helpers/engines/program.ts';
import { findQuietAddress } from '../helpers/engines/registry.ts';
import { until } from '../helpers/waiting.ts';
import { root } from './npm.ts';
import { environmentOfImage, loadFrom } from './settings.ts';

const deploy = join(root, 'deploy');
const read = async (path: string) => parse(await readFile(join(root, path), 'utf8'), { merge: true });
const files = ['compose.yaml', 'compose.credentials.yaml'] as const;

interface Service {
  image: string;
  restart: string;
  read_only: boolean;
  cap_drop: string[];
  security_opt: string[];
  logging: { driver: string; options: Record<string, string> };
  environment?: Record<string, string>;
  volumes?: string[];
  ports: string[];
  secrets?: string[];
  stop_grace_period?: string;
}

const { services, volumes } = (await read('deploy/compose.yaml')) as {
  services: Record<string, Service>;
  volumes: Record<string, unknown>;
};

t.test('Compose takes the files, alone and together', async (t) => {
  if (!needs(t, 'docker-compose')) return;
  const config = (env: Record<string, string>, ...names: string[]) => {
    const flags = names.flatMap((name) => ['--file', join(deploy, name)]);
    return runProgram(t, 'docker-compose', [...flags, 'config', '--quiet'], { env });
  };
  const [plain, credentials] = files;
  for (const [env, ...names] of [
    [{}, plain],
    [{ HUB_USERNAME: 'someone' }, plain, credentials],
  ] as const) {
    const { code, stderr } = await config(env, ...names);
    t.equal(code, 0, stderr);
  }
  t.match(
    (await config({}, plain, credentials)).stderr,
    /the account at Docker Hub/,
    'without a name it says so',
  );
});

for (const [name, service] of Object.entries(services)) {
  t.test(`${name} has no rights, comes back, bounds its log, and is of a release`, async (t) => {
    const { restart, read_only, cap_drop, security_opt, logging, image } = service;
    t.match({ restart, read_only, cap_drop, security_opt }, CAREFUL);
    t.match(logging.options, { 'max-size': /^\d+m$/, 'max-file': /^\d+$/ });
    t.match(image, /:v?\d+\.\d+\.\d+$/, 'a tag that does not move');
    for (const port of service.ports)
      t.match(
        port,
        /^(127\.0\.0\.1|\$\{HUBCAP_BIND:-127\.0\.0\.1\}):\d+:\d+$/,
        'nobody else is let in unasked',
      );
    for (const mount of service.volumes ?? []) {
      const [source = ''] = mount.split(':');
      if (source.startsWith('.')) t.ok(existsSync(resolve(deploy, source)), `${source} is there`);
      else t.ok(source in volumes, `${source} is a volume`);
    }
  });
}

const CAREFUL = {
  restart: 'unless-stopped',
  read_only: true,
  cap_drop: ['ALL'],
  security_opt: ['no-new-privileges:true'],
};

t.test('each volume is used', async (t) => {
  const mounts = Object.values(services).flatMap((service) => service.volumes ?? []);
  for (const name of Object.keys(volumes))
    t.ok(
      mounts.some((mount) => mount.startsWith(`${name}:`)),
      name,
    );
});

t.test("hubcap's settings are known, and agree with the image's", async (t) => {
  const directory = await makeDirectory(t, 'compose');
  const { hubcap } = services;
  const added = (await read('deploy/compose.credentials.yaml')) as ComposeAddition;
  const { HUBCAP_PASSWORD_FILE, ...credentials } = added.services.hubcap.environment;
  t.equal(HUBCAP_PASSWORD_FILE, `/run/secrets/${added.services.hubcap.secrets[0]}`);
  t.same(Object.keys(added.secrets), added.services.hubcap.secrets);
  await writeFile(join(directory, 'password'), 'secret');
  const ofImage = await environmentOfImage();
  const config = loadFrom(
    substituted({
      ...ofImage,
      ...hubcap?.environment,
      ...credentials,
      HUBCAP_PASSWORD_FILE: join(directory, 'password'),
    }),
  );
  t.equal(config.adminNames, 'everyone');
  t.equal(config.upstreams.get('docker.io')?.credentials[0]?.kind, 'password');
  t.same(
    hubcap?.ports.map((port) => Number(port.split(':').at(-1))),
    [config.listen.port, config.admin.port],
    'what is published is where it listens',
  );
  t.ok(hubcap?.volumes?.some((mount) => mount.endsWith(`:${config.storage.directory}`)));
  t.ok(Number.parseInt(hubcap?.stop_grace_period ?? '', 10) * 1000 > config.http.drainMs, 'it may drain');
  t.equal(hubcap?.image, `hubcap:${(await read('package.json')).version}`);
});

interface ComposeAddition {
  services: { hubcap: { environment: Record<string, string>; secrets: string[] } };
  secrets: Record<string, unknown>;
}

t.test('Grafana finds the dashboard and its Prometheus', async (t) => {
  const mounts = new Map(services.grafana?.volumes?.map((mount) => mount.split(':') as [string, string]));
  t.equal(mounts.get('./grafana/provisioning'), '/etc/grafana/provisioning', 'where Grafana looks');
  const { providers } = await read('deploy/grafana/provisioning/dashboards/hubcap.yaml');
  const dashboard = mounts.get('../grafana/hubcap.json');
  t.equal(dashboard, `${providers[0].options.path}/hubcap.json`);
  t.equal(services.grafana?.environment?.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH, dashboard);
  const { datasources } = await read('deploy/grafana/provisioning/datasources/prometheus.yaml');
  t.match(datasources, [{ type: 'prometheus', uid: 'prometheus', isDefault: true }]);
  t.equal(new URL(datasources[0].url).hostname, 'prometheus');
  t.equal(new URL(datasources[0].url).port, services.prometheus?.ports[0]?.split(':').at(-1));
  t.equal(
    datasources[0].jsonData.timeInterval,
    (await read('deploy/prometheus/prometheus.yml')).global.scrape_interval,
  );
});

t.test('Prometheus takes its configuration, and scrapes hubcap with it', async (t) => {
  if (!needs(t, 'prometheus', 'promtool')) return;
  const directory = await makeDirectory(t, 'prometheus');
  await cp(join(deploy, 'prometheus'), directory, { recursive: true });
  const file = join(directory, 'prometheus.yml');
  const checked = await runProgram(t, 'promtool', ['check', 'config', file]);
  t.equal(checked.code, 0, checked.stdout + checked.stderr);

  const { adminUrl } = await startHubcap(t, { upstreamUrl: 'http://127.0.0.1:9' });
  const written = await readFile(file, 'utf8');
  // Only where hubcap is, and how often it is asked, so that the first time comes soon.
  const here = written
    .replace('hubcap:5001', new URL(adminUrl).host)
    .replaceAll(/(scrape|evaluation)_interval: 15s/g, '$1_interval: 1s');
  t.not(here, written);
  await writeFile(file, here);
  const address = await findQuietAddress();
  const flags = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${directory}/data`,
    `--web.listen-address=${address}`,
  ];
  const prometheus = startProgram(t, 'prometheus', flags);
  await prometheus.line(/Server is ready to receive web requests/);
  await until('hubcap is scraped', async () => (await targetsOf(address)).hubcap === 'up', 100);
});

/** The health of what is scraped, by job. */
async function targetsOf(address: string): Promise<Record<string, string>> {
  const { body } = await fetch(`http://${address}/api/v1/targets`);
  const { activeTargets } = JSON.parse(body.toString()).data;
  return Object.fromEntries(
    activeTargets.map(({ labels, health }: { labels: { job: string }; health: string }) => [
      labels.job,
      health,
    ]),
  );
}

/** With the defaults of `${NAME:-default}`, and something for what must be given. */
function substituted(env: Record<string, string>): Record<string, string> {
  const value = (text: string) =>
    text.replace(/\$\{\w+:([-?])([^}]*)\}/g, (_, kind, word) => (kind === '-' ? word : 'given'));
  return Object.fromEntries(Object.entries(env).map(([name, text]) => [name, value(text)]));
}

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Credentials } from '../../src/upstream/credentials.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { tokened } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';

const auth = Buffer.from('someone:hunter2').toString('base64');
const someone = { username: 'someone', password: 'hunter2' };

async function writeConfig(t: Parameters<typeof makeDirectory>[0], keys: readonly string[]) {
  const file = join(await makeDirectory(t), 'config.json');
  await writeFile(file, JSON.stringify({ auths: Object.fromEntries(keys.map((key) => [key, { auth }])) }));
  return { kind: 'dockerConfig' as const, file };
}

const hubKeys = ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];

t.test('a login for the Hub is for the address of the Hub', async (t) => {
  const source = await writeConfig(t, hubKeys);
  const loginAt = (upstream: string, url: string) =>
    new Credentials(upstream, new URL(url), source, Date.now).login();
  t.match(await loginAt('docker.io', 'https://registry-1.docker.io'), someone);
  for (const url of [
    'http://127.0.0.1:5000',
    'https://mirror.example',
    'http://registry-1.docker.io.evil.example',
    'https://docker.io.evil.example',
  ]) {
    t.equal(await loginAt('docker.io', url), undefined, url);
  }
  const asDocker = await writeConfig(t, ['https://index.docker.io/v1/']);
  const plain = new Credentials('docker.io', new URL('http://registry-1.docker.io'), asDocker, Date.now);
  t.equal(await plain.login(), undefined, 'not without TLS');
});

t.test('what takes the place of the Hub never sees its login', async (t) => {
  const registry = await startRegistry(t);
  registry.push('library/app', imageOf('public', [100]), 'latest');
  const tokens = await startTokenServer(t);
  registry.act(tokened(tokens));
  const credentials = [await writeConfig(t, hubKeys)];
  const upstreams = { 'docker.io': { at: registry, realms: [tokens.host], credentials, private: ['*'] } };
  const mirror = await startMirror(t, { upstreams });
  t.equal((await mirror.manifest('/v2/library/app/manifests/latest')).status, 200, 'it is asked anonymously');
  t.ok(tokens.asked.length > 0);
  t.same(tokens.shown, []);
  t.notMatch(JSON.stringify(registry.asked.map(({ headers }) => headers)), auth);
});

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  DockerConfigError,
  loginFromDockerConfig,
  runDockerHelper,
} from '../../src/upstream/docker-config.ts';

const hub = ['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'];
const quay = ['quay.io', 'https://quay.io', 'https://quay.io/v2/'];
const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
const someone = { username: 'someone', password: 'hunter2' };

function write(directory: string, config: unknown): string {
  const file = join(directory, 'config.json');
  writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config));
  return file;
}

/** A helper that answers from a table and remembers what it was asked. */
function tableHelper(logins: Record<string, [username: string, secret: string]>) {
  const asked: string[] = [];
  const runHelper = async (name: string, server: string) => {
    asked.push(`${name} ${server}`);
    const login = logins[server];
    if (login === undefined) return { exitCode: 1, stdout: 'credentials not found in native keychain\n' };
    return {
      exitCode: 0,
      stdout: JSON.stringify({ ServerURL: server, Username: login[0], Secret: login[1] }),
    };
  };
  return { asked, runHelper };
}

t.test('logins that stand in the file', async (t) => {
  const cases: [name: string, auths: unknown, keys: string[], login: unknown][] = [
    ['as docker login writes it', { 'quay.io': auth('someone:hunter2') }, quay, someone],
    ['for the Hub', { 'https://index.docker.io/v1/': auth('someone:hunter2') }, hub, someone],
    ['with a scheme', { 'https://quay.io': auth('someone:hunter2') }, quay, someone],
    ['with a version', { 'https://QUAY.io/v1/': auth('someone:hunter2') }, quay, someone],
    ['in the clear', { 'quay.io': someone }, quay, someone],
    ['a colon in the password', { 'quay.io': auth('u:a:b') }, quay, { username: 'u', password: 'a:b' }],
    ['padded with NUL', { 'quay.io': auth('u:p\0\0') }, quay, { username: 'u', password: 'p' }],
    [
      'an identity token',
      { 'quay.io': { ...auth('u:'), identitytoken: 'token' } },
      quay,
      { username: 'u', password: '', identityToken: 'token' },
    ],
    [
      'the exact key first',
      { 'https://quay.io/v2/': auth('a:b'), 'quay.io': auth('someone:hunter2') },
      quay,
      someone,
    ],
    ['another registry', { 'ghcr.io': auth('someone:hunter2') }, quay, undefined],
    [
      'a host that ends alike',
      { 'notquay.io': auth('u:p'), 'quay.io.evil.example': auth('u:p') },
      quay,
      undefined,
    ],
    ['another port', { 'quay.io:5000': auth('someone:hunter2') }, quay, undefined],
    ['a part of the registry', { 'quay.io/namespace': auth('someone:hunter2') }, quay, undefined],
    [
      "the Hub's other entries",
      { 'https://index.docker.io/v1/access-token': auth('someone:hunter2') },
      hub,
      undefined,
    ],
    ['an empty entry', { 'quay.io': {} }, quay, undefined],
    ['no entries', {}, quay, undefined],
    ['null', null, quay, undefined],
  ];
  for (const [name, auths, keys, login] of cases) {
    t.same(await loginFromDockerConfig(write(t.testdir(), { auths, psFormat: 'table' }), keys), login, name);
  }
});

t.test('the helper of the server goes before the common one before the file', async (t) => {
  const file = write(t.testdir(), {
    credHelpers: { 'quay.io': 'own' },
    credsStore: 'common',
    auths: { 'quay.io': auth('file:quay'), 'ghcr.io': auth('file:ghcr') },
  });
  const { asked, runHelper } = tableHelper({
    'https://quay.io': ['helped', 'quay'],
    'https://index.docker.io/v1/': ['<token>', 'refresh'],
  });
  const load = (keys: string[]) => loginFromDockerConfig(file, keys, { runHelper });
  t.same(await load(quay), { username: 'helped', password: 'quay' });
  t.same(await load(hub), { username: '', password: '', identityToken: 'refresh' });
  t.same(
    await load(['ghcr.io']),
    { username: 'file', password: 'ghcr' },
    'what no helper has may be in the file',
  );
  t.same(asked, [
    'own quay.io',
    'own https://quay.io',
    'common https://index.docker.io/v1/',
    'common ghcr.io',
  ]);
});

t.test('no file, no login', async (t) => {
  t.equal(await loginFromDockerConfig(join(t.testdir(), 'none.json'), quay), undefined);
});

t.test('what cannot be used says what to do, and no secret', async (t) => {
  const directory = t.testdir();
  const cases: [config: unknown, message: RegExp][] = [
    ['{"auths": {"quay.io": {"auth": "hunter2" x}}}', /not valid JSON at line 1 column \d+: correct it/],
    ['hunter2', /not valid JSON/],
    ['{"hunter2', /not valid JSON/],
    ['', /not valid JSON at its end/],
    ['[]', /it is not what Docker writes there/],
    [{ auths: { 'quay.io': 'hunter2' } }, /auths\.quay\.io is not what Docker writes there: log in again/],
    [{ auths: { 'quay.io': { auth: ['hunter2'] } } }, /auths\.quay\.io\.auth is not what/],
    [{ auths: { 'quay.io': auth('hunter2') } }, /auths\.quay\.io\.auth is not base64 of USER:PASSWORD/],
    [{ credsStore: 'failing' }, /docker-credential-failing failed with exit code 1/],
    [{ credsStore: 'talking' }, /docker-credential-talking did not answer with a login/],
    [{ credsStore: 'partial' }, /docker-credential-partial did not answer with a login/],
    [{ credsStore: '../evil' }, /a name with characters/],
  ];
  const runs: Record<string, { exitCode: number; stdout: string }> = {
    failing: { exitCode: 1, stdout: 'cannot unlock hunter2' },
    talking: { exitCode: 0, stdout: 'the password is hunter2' },
    partial: { exitCode: 0, stdout: '{"Secret":"hunter2"}' },
  };
  const runHelper = async (name: string, server: string) =>
    runs[name] ?? (await runDockerHelper(name, server));
  for (const [config, message] of cases) {
    const file = write(directory, config);
    const error = await loginFromDockerConfig(file, quay, { runHelper }).catch((reason: unknown) => reason);
    if (!(error instanceof DockerConfigError))
      return t.fail(`no DockerConfigError for ${JSON.stringify(config)}`);
    t.match(error.message, message);
    t.ok(error.message.startsWith(file), 'names the file');
    t.notMatch(JSON.stringify([error, error.message, error.stack, error.cause]), /hunter2/);
  }
  await t.rejects(loginFromDockerConfig(directory, quay), { message: /cannot be read \(EISDIR\)/ });
});

t.test('helpers are programs on the PATH', async (t) => {
  const directory = t.testdir();
  const path = process.env.PATH;
  process.env.PATH = `${directory}:${path}`;
  t.teardown(() => {
    process.env.PATH = path;
  });
  const script = (name: string, body: string) => {
    const file = join(directory, `docker-credential-${name}`);
    writeFileSync(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
  };

  await t.test('asked by the protocol', async (t) => {
    script(
      'real',
      `server=$(cat); echo "$1 $server" >> ${directory}/asked
[ "$server" = quay.io ] || { echo "credentials not found in native keychain"; exit 1; }
printf '{"ServerURL":"%s","Username":"someone","Secret":"hunter2"}' "$server"`,
    );
    const file = write(directory, { credsStore: 'real' });
    t.same(await loginFromDockerConfig(file, ['https://quay.io', 'quay.io']), someone);
    t.equal(await loginFromDockerConfig(file, ['ghcr.io']), undefined);
    t.equal(
      readFileSync(join(directory, 'asked'), 'utf8'),
      'get https://quay.io\nget quay.io\nget ghcr.io\n',
    );
  });

  await t.test('bounded', async (t) => {
    script('flood', 'exec yes hunter2');
    t.match(await runDockerHelper('flood', 'quay.io'), { problem: 'wrote more than 64 KiB' });
    script('waiting', 'exec sleep 600');
    t.match(await runDockerHelper('waiting', 'quay.io', undefined, 50), {
      problem: /did not answer within 0.05 s/,
    });
    script('heedless', 'exec <&-; echo "{}"');
    t.same(await runDockerHelper('heedless', 'x'.repeat(1_000_000)), { exitCode: 0, stdout: '{}\n' });
  });

  await t.test('ended with their caller', async (t) => {
    const caller = new AbortController();
    const run = runDockerHelper('waiting', 'quay.io', caller.signal);
    caller.abort(new Error('gone'));
    await t.rejects(run, { message: 'gone' });
    await t.rejects(loginFromDockerConfig(write(directory, {}), quay, { signal: caller.signal }), {
      message: 'gone',
    });
  });

  await t.test('or missing, or not executable, or misnamed', async (t) => {
    t.match(await runDockerHelper('none-such', 'quay.io'), { problem: /not on the PATH: install it/ });
    script('closed', 'echo "{}"');
    chmodSync(join(directory, 'docker-credential-closed'), 0o644);
    t.match(await runDockerHelper('closed', 'quay.io'), { problem: /may not be executed/ });
    for (const name of ['', '../x', 'a/b', '-x', '.x', 'a b', 'a;b', 'a\0']) {
      t.match(
        await runDockerHelper(name, 'quay.io'),
        { problem: /has a name with characters/ },
        JSON.stringify(name),
      );
    }
  });
});

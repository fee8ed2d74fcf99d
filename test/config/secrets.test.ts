import t from 'tap';
import { failFrom } from './load-from.ts';

t.test('no secret is in an error', async (t) => {
  const home = t.testdir();
  const credential = (entry: string) => `upstreams: { docker.io: { credentials: [${entry}] } }`;
  const yamls = [
    credential('{ password: hunter2 }'),
    credential('{ username: u, password: [hunter2] }'),
    credential('{ username: u, password: hunter2, passwordFile: none }'),
    credential('{ username: "u:hunter2" }'),
    credential('{ username: u, pasword: hunter2 }'),
    credential('hunter2'),
    credential('"u:hunter2"'),
    credential('{ username: u, password: !hunter2 x }'),
    credential('{ username: u, password: *hunter2 }'),
    credential('{ username: u, password: @hunter2 }'),
    credential('{ username: u, password: "\\hunter2" }'),
    credential('{ username: u, password: "x" hunter2 }'),
    'upstreams: { docker.io: { credentials: "u:hunter2" } }',
    'upstreams: { docker.io: { url: "https://u:hunter2@host" } }',
    'upstreams: { docker.io: { url: "https://hunter2@host" } }',
    'upstreams: { docker.io: { url: "htps://u:hunter2@host" } }',
    'upstreams: { docker.io: { url: "u:hunter2@host" } }',
    'upstreams: { docker.io: { url: "https://u:p/@hunter2@host" } }',
    'upstreams: { docker.io: { url: "https://host?token=hunter2" } }',
    'proxy: { https: "socks5://u:hunter2@proxy" }',
    'password: hunter2',
  ];
  for (const yaml of yamls) {
    const error = failFrom(home, { yaml });
    t.notMatch(JSON.stringify([error, error.message, error.stack, error.cause]), /hunter2/, yaml);
  }
  const env = {
    HUBCAP_PASSWORD: 'hunter2',
    HUBCAP_PASWORD: 'hunter2',
    HTTPS_PROXY: 'ftp://u:hunter2@p',
    HUBCAP_UPSTREAM: 'u:hunter2@h',
  };
  const error = failFrom(home, { env });
  t.equal(error.problems.length, 4);
  t.notMatch(JSON.stringify([error, error.message, error.stack]), /hunter2/);
});

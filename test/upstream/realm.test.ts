import t from 'tap';
import { trustedRealm } from '../../src/upstream/realm.ts';

const hub = new URL('https://registry-1.docker.io');
const plain = new URL('http://127.0.0.1:5000');
const hosts = ['auth.docker.io', 'tokens.example:8443'];

t.test('realms that belong to their upstream', async (t) => {
  const realms: [realm: string, upstream: URL, trusted: string[]][] = [
    ['https://auth.docker.io/token', hub, hosts],
    ['https://auth.docker.io:444/token', hub, hosts],
    ['https://AUTH.docker.io/token', hub, hosts],
    ['https://registry-1.docker.io/token', hub, []],
    ['https://registry-1.docker.io:443/token', hub, []],
    ['https://tokens.example:8443/token?a=b', hub, hosts],
    ['http://127.0.0.1:5000/token', plain, []],
    ['https://127.0.0.1:5000/token', plain, []],
    ['http://auth.docker.io/token', plain, hosts],
    ['http://[::1]:5001/', new URL('http://[::1]:5000'), ['[::1]']],
  ];
  for (const [realm, upstream, trusted] of realms) {
    t.equal(trustedRealm(realm, upstream, trusted)?.href, new URL(realm).href, realm);
  }
});

t.test('realms that do not', async (t) => {
  const realms: [realm: string, upstream: URL][] = [
    ['http://auth.docker.io/token', hub],
    ['http://registry-1.docker.io/token', hub],
    ['https://attacker.example/token', hub],
    ['https://auth.docker.io.attacker.example/token', hub],
    ['https://attacker-auth.docker.io/token', hub],
    ['https://evil.auth.docker.io/token', hub],
    ['https://docker.io/token', hub],
    ['https://auth.docker.io@attacker.example/token', hub],
    ['https://attacker.example#auth.docker.io', hub],
    ['https://attacker.example\\auth.docker.io', hub],
    ['https://user:password@auth.docker.io/token', hub],
    ['https://user@auth.docker.io/token', hub],
    ['https://registry-1.docker.io:444/token', hub],
    ['https://tokens.example/token', hub],
    ['https://tokens.example:8444/token', hub],
    ['https://169.254.169.254/latest/meta-data', hub],
    ['http://127.0.0.1:5001/token', plain],
    ['http://localhost:5000/token', plain],
    ['file:///etc/passwd', plain],
    ['ftp://127.0.0.1:5000/', plain],
    ['javascript:alert(1)', hub],
    ['//auth.docker.io/token', hub],
    ['auth.docker.io', hub],
    ['/token', hub],
    ['', hub],
  ];
  for (const [realm, upstream] of realms) t.equal(trustedRealm(realm, upstream, hosts), undefined, realm);
});
